"""Ask providers for offers: all at once, none longer than is waited for, kept for next time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from materia.compute import Offer, Requirements
from materia.errors import CredentialsError, MateriaError, MissingSecretError, ProviderError
from materia.hookspecs import Opening
from materia.kit.once import Once
from materia.plugins import InstalledPlugin, open_plugin
from materia.printable import on_one_line
from materia.text import duration_text, together
from materia_providers.list_entries import left_out_of

from materia_runner.concurrency import PATIENCE, ask_each
from materia_runner.figures import age_text
from materia_runner.pricing.offer_cache import Answer, PriceCache, Question, neutral
from materia_runner.pricing.offer_check import checked
from materia_runner.secrets.redaction import redact, to_hide

if TYPE_CHECKING:
    from materia.protocols import Provider

# Prices change by the month and stock by the hour; a second look within one costs no request.
FRESH_FOR = timedelta(hours=1)
Source = Literal["any", "provider", "now", "cache"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """A provider that could not say what it offers.

    Attributes:
        provider: Its name.
        reason: One line, with the remedy; it begins with the provider's name.
        lacking: Whether all that is wrong is that its credentials are not set.
    """

    provider: str
    reason: str
    lacking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One provider to ask, and how.

    Attributes:
        found: Its plugin.
        requirements: What is needed.
        settings: Of the plugin.
        directory: Folder that relative paths in the settings start from.
        public: Whether its public prices are asked for when it lets nobody in.
    """

    found: InstalledPlugin[Provider]
    requirements: Requirements
    settings: Mapping[str, object]
    directory: Path
    public: bool = True

    @property
    def question(self) -> Question:
        """What the cache knows it by."""
        return Question(
            provider=self.found.plugin.name,
            version=self.found.version,
            requirements=self.requirements,
            settings=self.settings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a round of questions gave.

    Attributes:
        given: An answer, or the reason for none, of each asking, in their order.
        providers: Those that were opened and answered in time, by name, to go on with.
    """

    given: tuple[Answer | NoAnswer, ...]
    providers: Mapping[str, Provider]


def ask_all(
    askings: Sequence[Asking],
    environment: Mapping[str, str],
    *,
    cache: PriceCache,
    now: datetime,
    source: Source = "any",
    patience: timedelta = PATIENCE,
    waiting: Callable[[Sequence[str]], None] = lambda _: None,
) -> Answers:
    """Ask everybody for an answer.

    The providers are asked at the same time, each in a thread of its own, opened once and asked
    one need after the other. One that has not answered when *patience* is over is left alone and
    has no answer; the time to import its SDK is not counted. An offer that cannot be true is left
    out of an answer, with a line.

    Args:
        askings: Whom to ask for what.
        environment: Where secrets are taken from.
        cache: Where answers are kept.
        now: In UTC.
        source: `any` takes what was kept within the last hour and asks for the rest, `provider`
            asks for everything and takes what was kept where no answer comes, `now` takes nothing
            that was kept, `cache` asks nobody.
        patience: How long to wait for each of them.
        waiting: Called with the names of those that have not answered, whenever they change.
    """
    results: dict[int, Answer | NoAnswer] = {}
    providers: dict[str, Provider] = {}
    for number, asking in enumerate(askings):
        kept = None if source in {"provider", "now"} else cache.read(asking.question)
        if source == "cache":
            results[number] = _from_cache(asking, kept, now)
        elif kept is not None and _serves(asking, kept, environment, now):
            results[number] = replace(kept, remark=_remark(asking, kept, environment))
    missing = [number for number in range(len(askings)) if number not in results]
    if missing:
        visits = _visits(askings, missing, environment, now)
        asked = _ask(askings, visits, patience=patience, waiting=waiting)
        for visit in visits:
            if visit.provider and any(isinstance(asked[one], Answer) for one in visit.numbers):
                providers[visit.name] = visit.provider
        for number, result in asked.items():
            results[number] = _keep(askings[number], result, cache, now, source=source)
    given = tuple(results[number] for number in range(len(askings)))
    return Answers(given=given, providers=providers)


def _visits(
    askings: Sequence[Asking],
    numbers: Sequence[int],
    environment: Mapping[str, str],
    now: datetime,
) -> list[_Visit]:
    """One visit to each provider, with all that it is to be asked."""
    visits: list[_Visit] = []
    for number in numbers:
        asking = askings[number]
        visit = next((one for one in visits if one.is_to(asking)), None)
        if visit is None:
            visit = _Visit(asking, environment, now)
            visits.append(visit)
        visit.numbers.append(number)
    return visits


def _ask(
    askings: Sequence[Asking],
    visits: Sequence[_Visit],
    *,
    patience: timedelta,
    waiting: Callable[[Sequence[str]], None],
) -> dict[int, Answer | NoAnswer]:
    results: dict[int, Answer | NoAnswer] = {}
    ask_each(
        [
            (visit.name, partial(visit.ask, askings, results))  # what is there when it is too late
            for visit in visits
        ],
        patience=patience,
        waiting=waiting,
        prepare=[visit.open for visit in visits],
    )
    given = dict(results)  # who is late may still answer
    for number in (number for visit in visits for number in visit.numbers):
        name = askings[number].found.plugin.name
        reason = f"{name}: no answer within {duration_text(patience)}; try again later"
        given.setdefault(number, NoAnswer(provider=name, reason=reason))
    return given


class _Visit:
    """One provider, opened once for all that it is asked."""

    def __init__(self, asking: Asking, environment: Mapping[str, str], now: datetime) -> None:
        self._asking = asking
        self._environment = environment
        self._now = now
        self._once = Once()
        self.provider: Provider | None = None
        self._failure: Exception | None = None
        self.name = asking.found.plugin.name
        self.numbers: list[int] = []

    def is_to(self, asking: Asking) -> bool:
        """Whether *asking* is a question to the same provider."""
        mine = self._asking
        return asking.found == mine.found and asking.settings == mine.settings

    def open(self) -> None:
        """Import the plugin's SDK and open it; each answer carries a failure."""
        one = self._asking
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

    def ask(self, askings: Sequence[Asking], results: dict[int, Answer | NoAnswer]) -> None:
        """Put an answer, or the reason for none, into *results* for each of its numbers."""
        for number in self.numbers:
            results[number] = self._answer(askings[number])

    def _answer(self, asking: Asking) -> Answer | NoAnswer:
        name, plugin = self.name, asking.found.plugin
        secrets = to_hide(plugin.secrets, self._environment)
        try:
            offers, reason = self._offers(asking)
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
            why = f": {'; '.join(left_out)}" if left_out else " and did not say why"
            return NoAnswer(provider=name, reason=f"{name}: it offered nothing{why}")
        return Answer(
            provider=name,
            offers=tuple(found),
            asked_at=self._now,
            public=bool(reason),
            remark=one_line(reason, secrets),
            left_out=left_out,
        )

    def _offers(self, asking: Asking) -> tuple[Sequence[Offer], str]:
        """The offers, and why they are only the public ones, if they are."""
        plugin = asking.found.plugin
        needs = neutral(asking.requirements)
        try:
            if self._failure is not None:
                raise self._failure
            assert self.provider is not None  # noqa: S101 -- opened, or failed
            return self.provider.offers(needs), ""
        except (MissingSecretError, CredentialsError) as error:
            if plugin.public_offers is None or not asking.public:
                raise
            opening = Opening(
                secrets={},
                settings=asking.settings,
                directory=asking.directory,
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
        return f"{name}: public prices; set {together(error.names)} to see what can be had"
    return f"{name}: public prices, as it refused the credentials: {error}"


def _serves(asking: Asking, kept: Answer, environment: Mapping[str, str], now: datetime) -> bool:
    """Whether a kept answer is young enough, and was given to one with the same rights."""
    return now - kept.asked_at < FRESH_FOR and kept.public == bool(_lacking(asking, environment))


def _remark(asking: Asking, kept: Answer, environment: Mapping[str, str]) -> str:
    name = asking.found.plugin.name
    lacking = _lacking(asking, environment)
    return _public(name, MissingSecretError(name, lacking)) if kept.public and lacking else ""


def _lacking(asking: Asking, environment: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in asking.found.plugin.secrets if not environment.get(name))


def _from_cache(asking: Asking, kept: Answer | None, now: datetime) -> Answer | NoAnswer:
    name = asking.found.plugin.name
    if kept is None:
        reason = f"{name}: no answer to this question is kept; ask again without --offline"
        return NoAnswer(provider=name, reason=reason)
    return replace(kept, remark=f"{name}: kept answer, {age_text(now - kept.asked_at)} old")


def _keep(
    asking: Asking, result: Answer | NoAnswer, cache: PriceCache, now: datetime, *, source: Source
) -> Answer | NoAnswer:
    """Keep a new answer; in the place of none, take the one that was kept, and say so."""
    if isinstance(result, Answer):
        cache.write(asking.question, result)
        return result
    kept = None if source == "now" else cache.read(asking.question)
    if kept is None:
        return result
    return replace(
        kept, remark=f"{result.reason}; shown are its prices of {age_text(now - kept.asked_at)} ago"
    )


def one_line(text: str, secrets: Sequence[str]) -> str:
    """The text on one line, without the values of *secrets* and without control characters."""
    return redact(on_one_line(redact(text, secrets)), secrets)


def named(name: str, text: str) -> str:
    """The text, beginning with the provider's name."""
    return text if text.startswith(f"{name}:") else f"{name}: {text}"
