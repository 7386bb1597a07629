"""Required secrets: of the plugins that a pipeline uses, and of its artifact bucket."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any, Literal

from materia._dataclass import dataclass

from materia_runner.secrets.redaction import WEBHOOKS

if TYPE_CHECKING:
    from materia.plugins import InstalledPlugin, Registry

    from materia_runner.config.pipeline import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The secrets that one plugin or bucket requires, all of them.

    Attributes:
        kind: `source`, `sink`, `provider`, `artifacts` for the bucket, or `notify` for a webhook.
        name: Name of the plugin, address of the bucket, or what the webhook is notified of.
        names: Names of the variables; empty when it needs none.
        in_use: Whether the pipeline uses it.
    """

    kind: Literal["source", "sink", "provider", "artifacts", "notify"]
    name: str
    names: tuple[str, ...]
    in_use: bool = True


def needs_of(registry: Registry, pipeline: Pipeline) -> tuple[Need, ...]:
    """Required secrets of every installed plugin, of the bucket and of webhooks, if any.

    A pipeline that names no provider uses all that rent machines.
    """
    needs = [
        Need(
            kind=one.kind,
            name=one.plugin.name,
            names=one.plugin.secrets,
            in_use=uses(pipeline, one),
        )
        for kind in ("source", "sink", "provider")
        for one in registry.of_kind(kind)
    ]
    if pipeline.artifacts is not None:
        bucket = pipeline.artifacts
        needs.append(Need(kind="artifacts", name=bucket.url, names=bucket.keys))
    needs += [Need(kind="notify", name=what, names=(WEBHOOKS[what],)) for what in pipeline.notify]
    return tuple(needs)


def uses(pipeline: Pipeline, found: InstalledPlugin[Any]) -> bool:
    """Whether *pipeline* uses a plugin."""
    name = found.plugin.name
    if found.kind != "provider":
        return name in (pipeline.sources if found.kind == "source" else (pipeline.sink,))
    return name in pipeline.providers if pipeline.providers else found.plugin.rents


def unmet(needs: Sequence[Need], found: Container[str], *, auto: bool) -> tuple[Need, ...]:
    """Needs in use that lack a secret.

    With *auto*, one provider that has all of its secrets is enough.
    """
    used = [need for need in needs if need.in_use]
    lacking = [need for need in used if not all(name in found for name in need.names)]
    providers = [need for need in used if need.kind == "provider"]
    if auto and any(need not in lacking for need in providers):
        lacking = [need for need in lacking if need.kind != "provider"]
    return tuple(lacking)
