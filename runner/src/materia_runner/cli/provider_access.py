"""Open the providers that a command asks for existing machines; report those it must skip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer
from materia.errors import ConfigError, LedgerError, MateriaError, MissingSecretError

from materia_runner.cli.context import (
    load_environment,
    load_pipeline,
    load_registry,
    warn_of_failures,
)
from materia_runner.opening import open_plugin
from materia_runner.pricing.offer_query import named, one_line
from materia_runner.secrets.redaction import to_hide

if TYPE_CHECKING:
    from materia.plugins import InstalledPlugin
    from materia.protocols import Provider

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.ledger.state import State

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An opened provider.

    Attributes:
        name: Name of its plugin.
        provider: The opened provider.
        secrets: Values to redact in messages.
    """

    name: str
    provider: Provider
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedProvider:
    """A provider that was not asked, or did not answer.

    Attributes:
        name: Name of its plugin.
        reason: One line that begins with the name.
        exit_code: 0 for an optional provider without credentials here.
    """

    name: str
    reason: str
    exit_code: int


def open_all(
    context: typer.Context,
    config: Path | None,
    state: State,
    *,
    names: Sequence[str] = (),
    every: bool = False,
) -> tuple[list[Asked], list[SkippedProvider]]:
    """Open *names*, or the pipeline's providers and those with machines in the ledger, or *every*.

    The second list has the providers that cannot be opened.

    Raises:
        PluginError: one of *names* is not installed.
        ConfigError: no provider that rents machines has credentials.
    """
    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config)
    for name in names:
        registry.provider(name)
    with_machines = _with_machines(state)
    # A machine of a run that is missing in the ledger can be at any provider.
    every = every or (not names and with_machines is None)
    needed = set(names) or with_machines or set()
    if not names and not every:
        needed |= set(pipeline.providers)
    chosen = set(needed)
    if not names and (every or not pipeline.providers):
        chosen |= {
            one.plugin.name for one in registry.of_kind("provider") if every or one.plugin.rents
        }
    installed = [one for one in registry.of_kind("provider") if one.plugin.name in chosen]
    environment = load_environment(registry, pipeline, installed)
    asked, skipped = [], []
    for name in sorted(chosen):
        try:
            asked.append(_open(registry.provider(name), pipeline, environment))
        except MateriaError as error:
            lacking = isinstance(error, MissingSecretError) and name not in needed
            code = 0 if lacking else error.exit_code
            reason = named(name, one_line(str(error), ()))
            skipped.append(SkippedProvider(name=name, reason=reason, exit_code=code))
    renting = [one for one in asked if registry.provider(one.name).plugin.rents]
    if skipped and not renting and not any(one.exit_code for one in skipped):
        # A sweep from cron that lost its credentials must not look like success.
        head = "cannot list machines: no provider that rents machines has credentials"
        raise ConfigError("\n  ".join([head, *(one.reason for one in skipped)]))
    return asked, skipped


def _open(
    found: InstalledPlugin[Provider], pipeline: Pipeline, environment: Mapping[str, str]
) -> Asked:
    name = found.plugin.name
    provider = open_plugin(
        found,
        environment,
        settings=pipeline.settings["provider", name],
        directory=pipeline.directory,
    )
    secrets = to_hide(found.plugin.secrets, environment)
    return Asked(name=name, provider=provider, secrets=secrets)


def _with_machines(state: State) -> set[str] | None:
    """Providers with open machines in the ledger; None when the ledger is incomplete."""
    left = state.unfinished()
    if not state.ledger_file.exists():
        return None if left else set()
    with suppress(ConfigError, LedgerError), state.ledger() as ledger:
        names = {row.provider for row in ledger.machines(open_only=True)}
        return names if all(ledger.knows(run) for run in left) else None
    return None  # the command that uses the ledger reports the error


def ask(one: Asked, question: Callable[[Provider], T]) -> T | SkippedProvider:
    """The provider's answer, or the reason why it has none."""
    code = 1
    try:
        return question(one.provider)
    except MateriaError as error:
        reason, code = str(error), error.exit_code
    except Exception as error:  # noqa: BLE001 -- a fault of one plugin is that plugin's alone
        reason = f"its plugin failed: {type(error).__name__}: {error}"
    return SkippedProvider(
        name=one.name, reason=named(one.name, one_line(reason, one.secrets)), exit_code=code
    )
