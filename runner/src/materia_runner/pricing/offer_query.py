"""Ask providers for offers: concurrently, with a timeout, and with a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from materia._dataclass import dataclass
from materia.compute import Offer, Requirements
from materia.errors import CredentialsError, MateriaError, MissingSecretError, ProviderError
from materia.hookspecs import Opening
from materia.kit.once import Once
from materia.plugins import InstalledPlugin
from materia.printable import on_one_line
from materia.text import duration_text, together
from materia_providers.list_entries import left_out_of

from materia_runner.concurrency import PATIENCE, ask_each
from materia_runner.figures import age_text
from materia_runner.opening import open_plugin
from materia_runner.pricing.offer_cache import Answer, PriceCache, Question, neutral
from materia_runner.pricing.offer_check import checked
from materia_runner.secrets.redaction import redact, to_hide

if TYPE_CHECKING:
    from materia.protocols import Provider

# Prices change by the month and stock by the hour: answers are cached for an hour.
FRESH_FOR = timedelta(hours=1)
Source = Literal["any", "provider", "now", "cache"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """A provider without an answer.

    Attributes:
        provider: Name of the provider.
        reason: One line, with the remedy; it begins with the provider's name.
        lacking: Whether the only reason is that its credentials are not set.
    """

    provider: str
    reason: str
    lacking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferQuery:
    """One provider to ask, and how.

    Attributes:
        found: Its plugin.
        requirements: The requirements.
        settings: Settings of the plugin.
        directory: Folder that relative paths in the settings start from.
        public: Whether to ask for public prices when credentials are missing or refused.
    """

    found: InstalledPlugin[Provider]
    requirements: Requirements
    settings: Mapping[str, object]
    directory: Path
    public: bool = True

    @property
    def question(self) -> Question:
        """The key in the cache."""
        return Question(
            provider=self.found.plugin.name,
            version=self.found.version,
            requirements=self.requirements,
            settings=self.settings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers to a round of questions.

    Attributes:
        given: An answer, or the reason for none, for each query, in the same order.
        providers: Opened providers that answered in time, by name.
    """

    given: tuple[Answer | NoAnswer, ...]
    providers: Mapping[str, Provider]


def ask_all(
    queries: Sequence[OfferQuery],
    environment: Mapping[str, str],
    *,
    cache: PriceCache,
    now: datetime,
    source: Source = "any",
    patience: timedelta = PATIENCE,
    waiting: Callable[[Sequence[str]], None] = lambda _: None,
) -> Answers:
    """Ask all providers concurrently for offers.

    Each provider is opened once in a thread of its own, and asked one question after the other. A
    provider that has not answered within *patience* has no answer; the time to import its SDK is
    not counted. Implausible offers are left out of an answer, each with a line.

    Args:
        queries: Providers to ask, with the requirements.
        environment: Variables that have the secrets.
        cache: The price cache.
        now: Time in UTC.
        source: `any` uses answers cached within the last hour and asks for the rest, `provider`
            asks for all and falls back to the cache, `now` does not use the cache, `cache` asks no
            provider.
        patience: How long to wait for each provider.
        waiting: Called with the names of providers without an answer, whenever they change.
    """
    results: dict[int, Answer | NoAnswer] = {}
    providers: dict[str, Provider] = {}
    for number, query in enumerate(queries):
        kept = None if source in {"provider", "now"} else cache.read(query.question)
        if source == "cache":
            results[number] = _from_cache(query, kept, now)
        elif kept is not None and _serves(query, kept, environment, now):
            results[number] = replace(kept, remark=_remark(query, kept, environment))
    missing = [number for number in range(len(queries)) if number not in results]
    if missing:
        visits = _visits(queries, missing, environment, now)
        asked = _ask(queries, visits, patience=patience, waiting=waiting)
        for visit in visits:
            if visit.provider and any(isinstance(asked[one], Answer) for one in visit.numbers):
                providers[visit.name] = visit.provider
        for number, result in asked.items():
            results[number] = _keep(queries[number], result, cache, now, source=source)
    given = tuple(results[number] for number in range(len(queries)))
    return Answers(given=given, providers=providers)


def _visits(
    queries: Sequence[OfferQuery],
    numbers: Sequence[int],
    environment: Mapping[str, str],
    now: datetime,
) -> list[_Visit]:
    """One visit to each provider, with all its questions."""
    visits: list[_Visit] = []
    for number in numbers:
        query = queries[number]
        visit = next((one for one in visits if one.is_to(query)), None)
        if visit is None:
            visit = _Visit(query, environment, now)
            visits.append(visit)
        visit.numbers.append(number)
    return visits


def _ask(
    queries: Sequence[OfferQuery],
    visits: Sequence[_Visit],
    *,
    patience: timedelta,
    waiting: Callable[[Sequence[str]], None],
) -> dict[int, Answer | NoAnswer]:
    results: dict[int, Answer | NoAnswer] = {}
    ask_each(
        [
            (
                visit.name,
                partial(visit.ask, queries, results),
            )  # keeps answers from before a timeout
            for visit in visits
        ],
        patience=patience,
        waiting=waiting,
        prepare=[visit.open for visit in visits],
    )
    given = dict(results)  # a copy: a late provider may still answer
    for number in (number for visit in visits for number in visit.numbers):
        name = queries[number].found.plugin.name
        reason = f"{name}: no answer within {duration_text(patience)}; try again later"
        given.setdefault(number, NoAnswer(provider=name, reason=reason))
    return given


class _Visit:
    """One provider, opened once for all its questions."""

    def __init__(self, query: OfferQuery, environment: Mapping[str, str], now: datetime) -> None:
        self._query = query
        self._environment = environment
        self._now = now
        self._once = Once()
        self.provider: Provider | None = None
        self._failure: Exception | None = None
        self.name = query.found.plugin.name
        self.numbers: list[int] = []

    def is_to(self, query: OfferQuery) -> bool:
        """Whether *query* is a question to the same provider."""
        mine = self._query
        return query.found == mine.found and query.settings == mine.settings

    def open(self) -> None:
        """Import the plugin's SDK and open it; each answer carries a failure."""
        one = self._query
        try:
            self.provider = open_plugin(
                one.found,
                self._environment,
                settings=one.settings,
                directory=one.directory,
                once=self._once,
            )
        except Exception as error:  # noqa: BLE001 -- a fault of one plugin is that plugin's alone
            self._failure = error

    def ask(self, queries: Sequence[OfferQuery], results: dict[int, Answer | NoAnswer]) -> None:
        """Put an answer, or the reason for none, into *results* for each of its numbers."""
        for number in self.numbers:
            results[number] = self._answer(queries[number])

    def _answer(self, query: OfferQuery) -> Answer | NoAnswer:
        name, plugin = self.name, query.found.plugin
        secrets = to_hide(plugin.secrets, self._environment)
        try:
            offers, reason = self._offers(query)
            found = checked(
                (_by_name(offer, name) for offer in offers), provider=name, rents=plugin.rents
            )
            left_out = tuple(
                one_line(line, secrets) for line in (*left_out_of(offers), *found.left_out)
            )
        except MateriaError as error:
            return NoAnswer(provider=name, reason=named(name, one_line(str(error), secrets)))
        except Exception as error:  # noqa: BLE001 -- as above
            text = f"its plugin failed: {type(error).__name__}: {error}"
            return NoAnswer(provider=name, reason=named(name, one_line(text, secrets)))
        if not found:
            why = f": {'; '.join(left_out)}" if left_out else " and no reason"
            return NoAnswer(provider=name, reason=f"{name}: returned no offers{why}")
        return Answer(
            provider=name,
            offers=tuple(found),
            asked_at=self._now,
            public=bool(reason),
            remark=one_line(reason, secrets),
            left_out=left_out,
        )

    def _offers(self, query: OfferQuery) -> tuple[Sequence[Offer], str]:
        """The offers, and the reason when they are only the public ones."""
        plugin = query.found.plugin
        needs = neutral(query.requirements)
        try:
            if self._failure is not None:
                raise self._failure
            assert self.provider is not None  # noqa: S101 -- opened, or failed
            return self.provider.offers(needs), ""
        except (MissingSecretError, CredentialsError) as error:
            if plugin.public_offers is None or not query.public:
                raise
            opening = Opening(
                secrets={},
                settings=query.settings,
                directory=query.directory,
                once=self._once,
            )
            try:
                return plugin.public_offers(opening, needs), _public(plugin.name, error)
            except MateriaError as failure:
                remedy = str(error).removeprefix(f"{plugin.name}: ")
                raise ProviderError(f"{failure}; {remedy}") from failure


def _by_name(offer: object, provider: str) -> object:
    return replace(offer, provider=provider) if isinstance(offer, Offer) else offer


def _public(name: str, error: MateriaError) -> str:
    if isinstance(error, MissingSecretError):
        return f"{name}: public prices; set {together(error.names)} to see what is available"
    return f"{name}: public prices, because it refused the credentials: {error}"


def _serves(query: OfferQuery, kept: Answer, environment: Mapping[str, str], now: datetime) -> bool:
    """Whether a cached answer is fresh, and was given for the same credentials."""
    return now - kept.asked_at < FRESH_FOR and kept.public == bool(_lacking(query, environment))


def _remark(query: OfferQuery, kept: Answer, environment: Mapping[str, str]) -> str:
    name = query.found.plugin.name
    lacking = _lacking(query, environment)
    return _public(name, MissingSecretError(name, lacking)) if kept.public and lacking else ""


def _lacking(query: OfferQuery, environment: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in query.found.plugin.secrets if not environment.get(name))


def _from_cache(query: OfferQuery, kept: Answer | None, now: datetime) -> Answer | NoAnswer:
    name = query.found.plugin.name
    if kept is None:
        reason = f"{name}: no cached answer to this question; run again without --offline"
        return NoAnswer(provider=name, reason=reason)
    return replace(kept, remark=f"{name}: cached answer, {age_text(now - kept.asked_at)} old")


def _keep(
    query: OfferQuery,
    result: Answer | NoAnswer,
    cache: PriceCache,
    now: datetime,
    *,
    source: Source,
) -> Answer | NoAnswer:
    """Cache a new answer; without one, fall back to the cached answer, with a remark."""
    if isinstance(result, Answer):
        cache.write(query.question, result)
        return result
    kept = None if source == "now" else cache.read(query.question)
    if kept is None:
        return result
    return replace(
        kept,
        remark=f"{result.reason}; showing cached prices from {age_text(now - kept.asked_at)} ago",
    )


def one_line(text: str, secrets: Sequence[str]) -> str:
    """The text on one line, without the values of *secrets* and without control characters."""
    return redact(on_one_line(redact(text, secrets)), secrets)


def named(name: str, text: str) -> str:
    """The text, beginning with the provider's name."""
    return text if text.startswith(f"{name}:") else f"{name}: {text}"
