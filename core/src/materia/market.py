"""Who could run a pipeline now, what they offer, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from materia.errors import MissingSecretError, NoOfferError
from materia.machines import Offer, Requirements
from materia.model import Pipeline, Stage
from materia.plugins import Found, Registry, open_plugin
from materia.price_cache import PriceCache, cache_folder
from materia.prices import Asking, NoAnswer, ask_all
from materia.protocols import Provider

NOBODY = (
    "no provider that rents machines is installed; add one as an extra, for example "
    "`uv sync --extra hetzner`, or use --provider local"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What can be had now.

    Attributes:
        offers: Of all who answered.
        unanswered: Who did not, each with the reason and the remedy.
        owned: Names of providers whose machines are already there and cost nothing.
        providers: Those who answered, opened, by name.
    """

    offers: tuple[Offer, ...]
    unanswered: tuple[NoAnswer, ...] = ()
    owned: frozenset[str] = frozenset()
    providers: Mapping[str, Provider] = field(default_factory=dict)


def who_takes_part(pipeline: Pipeline, registry: Registry) -> list[Found[Provider]]:
    """The providers that are named, or under auto all that rent machines.

    Raises:
        PluginError: a named one is not installed.
        NoOfferError: under auto, none that rents is installed.
    """
    if pipeline.providers:
        return [registry.provider(name) for name in pipeline.providers]
    names = sorted({one.plugin.name for one in registry.of_kind("provider") if one.plugin.rents})
    if not names:
        raise NoOfferError(NOBODY)
    return [registry.provider(name) for name in names]


def ask_market(
    pipeline: Pipeline,
    registry: Registry,
    environment: Mapping[str, str],
    *,
    waiting: Callable[[Sequence[str]], None] = lambda _: None,
) -> Market:
    """What the providers of *pipeline* offer for any of its stages, asked now and at once.

    A provider that cannot answer stops no other; the only one that was named raises by itself.

    Raises:
        MateriaError: as the only provider raised it.
        NoOfferError: nobody has anything, with one line for each.
    """
    found = who_takes_part(pipeline, registry)
    needs = anything_of(pipeline.stages)
    if len(found) == 1:
        return _ask_only(found[0], pipeline, environment, needs)
    askings = [
        Asking(
            found=one,
            requirements=needs,
            settings=pipeline.settings["provider", one.plugin.name],
            directory=pipeline.directory,
        )
        for one in found
    ]
    answers = ask_all(
        askings,
        environment,
        cache=PriceCache(cache_folder(environment)),
        now=datetime.now(UTC),
        source="provider",
        waiting=waiting,
    )
    offers: list[Offer] = []
    unanswered = []
    providers = {}
    for one, answer in zip(found, answers, strict=True):
        name = one.plugin.name
        if isinstance(answer, NoAnswer):
            unanswered.append(answer)
            continue
        try:
            opened = _open(one, pipeline, environment)
        except MissingSecretError as error:  # its prices are public, its machines are not
            unanswered.append(NoAnswer(provider=name, reason=str(error)))
            continue
        if answer.public or answer.remark:  # refused credentials, or prices kept from before
            unanswered.append(NoAnswer(provider=name, reason=answer.remark))
            continue
        providers[name] = opened
        offers += answer.offers
    if not offers:
        reasons = [one.reason for one in unanswered]
        raise NoOfferError("\n  ".join(["nothing can be rented now", *reasons]))
    return Market(
        offers=tuple(offers),
        unanswered=tuple(unanswered),
        owned=frozenset(one.plugin.name for one in found if not one.plugin.rents),
        providers=providers,
    )


def anything_of(stages: Sequence[Stage]) -> Requirements:
    """Requirements that whatever suits one of the *stages*, or several together, meets.

    Providers filter by them only to save requests; what is too small for a stage is passed over
    when its machine is chosen.
    """
    needs = [stage.requirements for stage in stages]
    architectures = [one for need in needs for one in need.architectures]
    anywhere = any(not need.regions for need in needs)
    regions = () if anywhere else tuple(one for need in needs for one in need.regions)
    return Requirements(
        vcpus=min(need.vcpus for need in needs),
        memory_gib=min(need.memory_gib for need in needs),
        disk_gib=min(need.disk_gib for need in needs),
        architectures=tuple(dict.fromkeys(architectures)),
        dedicated=all(need.dedicated for need in needs),
        regions=tuple(dict.fromkeys(regions)),
        expected=max(need.expected for need in needs),
        currency=needs[0].currency,
    )


def _ask_only(
    found: Found[Provider],
    pipeline: Pipeline,
    environment: Mapping[str, str],
    needs: Requirements,
) -> Market:
    provider = _open(found, pipeline, environment)
    name = found.plugin.name
    return Market(
        offers=tuple(replace(offer, provider=name) for offer in provider.offers(needs)),
        owned=frozenset() if found.plugin.rents else frozenset({name}),
        providers={name: provider},
    )


def _open(found: Found[Any], pipeline: Pipeline, environment: Mapping[str, str]) -> Any:
    name = found.plugin.name
    settings = pipeline.settings["provider", name]
    return open_plugin(found, environment, settings=settings, directory=pipeline.directory)
