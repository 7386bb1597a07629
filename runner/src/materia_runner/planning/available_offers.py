"""Collect available offers for a pipeline: which providers answer, and why others do not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import Any

from materia._dataclass import dataclass
from materia.compute import Offer, Requirements
from materia.errors import (
    ConfigError,
    CredentialsError,
    MateriaError,
    MissingSecretError,
    NoOfferError,
    ProviderError,
)
from materia.kit.once import Once
from materia.plugins import InstalledPlugin, Registry, take_secrets
from materia.protocols import Provider

from materia_runner.bundled import bundled_providers
from materia_runner.config.pipeline import Pipeline, Stage
from materia_runner.folders import prices_folder
from materia_runner.install_hints import install_command
from materia_runner.opening import open_plugin
from materia_runner.planning.plan import offer_key
from materia_runner.planning.search import join
from materia_runner.planning.source_workers import planned_stages
from materia_runner.pricing.offer_cache import Answer, PriceCache, neutral
from materia_runner.pricing.offer_check import checked
from materia_runner.pricing.offer_query import NoAnswer, OfferQuery, ask_all, named, one_line
from materia_runner.secrets.redaction import to_hide

AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableOffers:
    """Offers that are available now.

    Attributes:
        offers: Offers of all providers that answered.
        unanswered: Providers that did not answer, with the reason and the remedy.
        owned: Names of providers whose machines already exist and cost nothing.
        providers: Opened providers that answered, by name.
        left_out: Invalid entries in the answers, a line each.
    """

    offers: tuple[Offer, ...]
    unanswered: tuple[NoAnswer, ...] = ()
    owned: frozenset[str] = frozenset()
    providers: Mapping[str, Provider] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def no_provider_rents(registry: Registry) -> str:
    """Message for an environment without a provider that rents machines."""
    return f"no provider that rents machines is installed{how_to_add_one(registry)}"


def how_to_add_one(registry: Registry) -> str:
    """End of a message: the command for a bundled provider that is missing; empty if none is."""
    missing = sorted(bundled_providers() - {found.distribution for found in registry.found})
    return f"; to install one, for example: {install_command(missing[0])}" if missing else ""


def who_takes_part(pipeline: Pipeline, registry: Registry) -> list[InstalledPlugin[Provider]]:
    """The providers that the pipeline names, or with `auto` all that rent machines.

    Raises:
        PluginError: a named provider is not installed.
        NoOfferError: with `auto`, no provider that rents is installed.
    """
    if pipeline.providers:
        return [registry.provider(name) for name in pipeline.providers]
    names = sorted({one.plugin.name for one in registry.of_kind("provider") if one.plugin.rents})
    if not names:
        raise NoOfferError(f"{no_provider_rents(registry)}; or use --provider local")
    return [registry.provider(name) for name in names]


def collect_offers(
    pipeline: Pipeline,
    registry: Registry,
    environment: Mapping[str, str],
    *,
    waiting: Callable[[Sequence[str]], None] = lambda _: None,
) -> AvailableOffers:
    """Ask the providers of *pipeline* concurrently for offers for its stages.

    Continues without a provider that fails, unless it is the only one.

    Raises:
        MateriaError: the only provider raised it.
        NoOfferError: no provider has an offer; the message has a line for each.
    """
    found = who_takes_part(pipeline, registry)
    needs = asked_for(planned_stages(pipeline))
    if len(found) == 1:
        return _ask_only(found[0], pipeline, environment, needs)
    lacking = {one.plugin.name: reason for one in found if (reason := _lacking(one, environment))}
    able = [one for one in found if one.plugin.name not in lacking]
    queries = [
        OfferQuery(
            found=one,
            requirements=need,
            settings=pipeline.settings["provider", one.plugin.name],
            directory=pipeline.directory,
            public=False,  # without credentials nothing can be rented
        )
        for one in able
        for need in needs
    ]
    asked = ask_all(
        queries,
        environment,
        cache=PriceCache(prices_folder(environment)),
        now=datetime.now(UTC),
        source="now",
        waiting=waiting,
    )
    offers: list[Offer] = []
    left_out: dict[str, None] = {}
    unanswered = list(lacking.values())
    for one in able:
        given = [
            answer for query, answer in zip(queries, asked.given, strict=True) if query.found is one
        ]
        some = [answer for answer in given if isinstance(answer, Answer)]
        if not some:
            unanswered.append(next(answer for answer in given if isinstance(answer, NoAnswer)))
            continue
        offers += different(offer for answer in some for offer in answer.offers)
        left_out |= dict.fromkeys(line for answer in some for line in answer.left_out)
    unanswered.sort(key=lambda one: one.provider)
    if not offers:
        reasons = [one.reason for one in unanswered]
        raise NoOfferError("\n  ".join(["no machine can be rented now", *reasons]))
    return AvailableOffers(
        offers=tuple(offers),
        unanswered=tuple(unanswered),
        owned=frozenset(one.plugin.name for one in found if not one.plugin.rents),
        providers=asked.providers,
        left_out=tuple(left_out),
    )


def asked_for(stages: Sequence[Stage]) -> tuple[Requirements, ...]:
    """Requirements to ask each provider for: of every group of stages that could share a machine.

    Each is a separate question, as some providers build a machine to size.
    """
    first, *later = stages
    chains = [tuple(stages), *((worker, *later) for way in first.ways for worker in way)]
    joined = [
        join(chain[begin:end])
        for chain in chains
        for begin in range(len(chain))
        for end in range(begin + 1, len(chain) + 1)
    ]
    needs = [neutral(one) for one in joined if isinstance(one, Requirements)]
    return tuple(dict.fromkeys(needs))


def different(offers: Iterable[Offer]) -> list[Offer]:
    """The *offers* without duplicates: two questions can be answered with the same machine."""
    machines = {
        (offer_key(offer), offer.architecture, offer.vcpus, offer.memory_gib, offer.disk_gib): offer
        for offer in offers
    }
    return list(machines.values())


def refuse_folders(pipeline: Pipeline, registry: Registry) -> None:
    """Refuse a source that reads a folder here, when only rented machines are used.

    Raises:
        ConfigError: a setting of the source is a folder on this machine.
    """
    if pipeline.sample:  # the artifact has it
        return
    if not all(one.plugin.rents for one in who_takes_part(pipeline, registry)):
        return
    settings = [
        (name, setting)
        for name in pipeline.fetched
        for setting in registry.source(name).plugin.settings
    ]
    for name, setting in settings:
        value = str(pipeline.settings["source", name].get(setting.name) or "")
        scheme, colon, _ = value.partition("://")
        if setting.folder and value and (not colon or scheme == "file"):
            raise ConfigError(
                f"sources.{name}.{setting.name} is the folder {value} on this machine, "
                "which a rented machine cannot read; run with --provider local, or set an "
                "https:// address that can be reached from anywhere"
            )


def _lacking(found: InstalledPlugin[Provider], environment: Mapping[str, str]) -> NoAnswer | None:
    """The reason not to ask a provider: its secrets are missing; None when they are set."""
    try:
        take_secrets(found, environment)
    except MissingSecretError as error:
        return NoAnswer(provider=found.plugin.name, reason=str(error), lacking=True)
    return None


def _ask_only(
    found: InstalledPlugin[Provider],
    pipeline: Pipeline,
    environment: Mapping[str, str],
    needs: Sequence[Requirements],
) -> AvailableOffers:
    with _translated(found, environment):
        provider = _open(found, pipeline, environment, once=Once())
    name = found.plugin.name
    offers: list[Offer] = []
    left_out: dict[str, None] = {}
    nothing: NoOfferError | None = None
    for need in needs:
        try:
            with _translated(found, environment):
                given = checked(_offers(provider, need), provider=name, rents=found.plugin.rents)
        except NoOfferError as error:  # for this need
            nothing = error
            continue
        offers += given
        left_out |= dict.fromkeys(given.left_out)
    if nothing and not offers:
        raise nothing
    if not offers:
        raise NoOfferError("\n  ".join([f"{name}: returned no offers", *left_out]))
    return AvailableOffers(
        offers=tuple(replace(offer, provider=name) for offer in different(offers)),
        owned=frozenset() if found.plugin.rents else frozenset({name}),
        providers={name: provider},
        left_out=tuple(left_out),
    )


@contextmanager
def _translated(found: InstalledPlugin[Provider], environment: Mapping[str, str]) -> Iterator[None]:
    """Turn an unexpected exception of the plugin into a ProviderError of one sentence."""
    try:
        yield
    except MateriaError:
        raise
    except Exception as error:
        name, secrets = found.plugin.name, to_hide(found.plugin.secrets, environment)
        text = f"its plugin failed: {type(error).__name__}: {error}"
        raise ProviderError(named(name, one_line(text, secrets))) from error


def _offers(provider: Provider, need: Requirements) -> Sequence[Offer]:
    """Offers of the only provider; retries once when its API fails."""
    try:
        return provider.offers(need)
    except CredentialsError:
        raise
    except ProviderError:
        time.sleep(AGAIN_SECONDS)
        return provider.offers(need)


def _open(
    found: InstalledPlugin[Any],
    pipeline: Pipeline,
    environment: Mapping[str, str],
    once: Once | None = None,
) -> Any:
    name = found.plugin.name
    settings = pipeline.settings["provider", name]
    return open_plugin(
        found, environment, settings=settings, directory=pipeline.directory, once=once
    )
