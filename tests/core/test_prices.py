"""Providers are asked at once, and their answers are kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from fakes import rentals
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from materia import Opening
from materia.compute import Money, Offer, Requirements
from materia.errors import ProviderError
from materia.plugins import InstalledPlugin
from materia.protocols import Provider
from materia_providers.list_entries import Entries
from materia_runner.folders import prices_folder
from materia_runner.pricing.offer_cache import Answer, PriceCache, Question
from materia_runner.pricing.offer_query import NoAnswer, OfferQuery, ask_all
from strategies.offers import NOW, offers

NEEDS = Requirements(vcpus=2, memory_gib=Decimal(8))
GOOD = {"HOURS_TOKEN": rentals.GOOD_TOKEN, "SECONDS_TOKEN": rentals.GOOD_TOKEN}
PLUGINS = {plugin.name: plugin for plugin in rentals.materia_providers()}


@pytest.fixture
def cache(tmp_path: Path) -> PriceCache:
    return PriceCache(tmp_path / "prices")


def query(name: str, requirements: Requirements = NEEDS, **given: object) -> OfferQuery:
    found: InstalledPlugin[Provider] = InstalledPlugin(
        kind="provider",
        plugin=PLUGINS[name],
        module="fakes.rentals",
        distribution="materia-rentals",
        version="1",
    )
    return OfferQuery(
        found=found,
        requirements=requirements,
        settings={"delay": "0", "failure": "", **given},
        directory=Path(),
    )


def ask(
    *queries: OfferQuery,
    cache: PriceCache,
    environment: Mapping[str, str] = GOOD,
    **options: object,
) -> list[Answer | NoAnswer]:
    asked = ask_all(queries, environment, cache=cache, **{"now": NOW, **options})  # type: ignore[arg-type]  # the options of a test
    return list(asked.given)


def reasons(results: list[Answer | NoAnswer]) -> list[str]:
    return [result.reason for result in results if isinstance(result, NoAnswer)]


def test_every_provider_answers_in_the_order_it_was_asked(cache: PriceCache) -> None:
    results = ask(query("seconds"), query("hours"), cache=cache)

    assert [result.provider for result in results] == ["seconds", "hours"]
    assert not reasons(results)


def test_a_provider_without_its_secret_says_what_to_set(cache: PriceCache) -> None:
    results = ask(query("hours"), cache=cache, environment={})

    assert reasons(results) == ["hours: set HOURS_TOKEN to use it"]


def test_a_plugin_with_a_fault_stops_no_other(cache: PriceCache) -> None:
    broken, hours = ask(query("broken"), query("hours"), cache=cache)

    assert reasons([broken]) == [
        "broken: its plugin failed: KeyError: 'a fault of the plugin, in here'",
    ]
    assert isinstance(hours, Answer)


def test_a_slow_provider_delays_the_others_by_no_more_than_the_timeout(cache: PriceCache) -> None:
    over = threading.Event()

    def held(offers: Sequence[Offer]) -> Sequence[Offer]:
        assert over.wait(60), "it was waited for"
        return offers

    slow, dollars = ask(
        given_by(held), query("dollars"), cache=cache, patience=timedelta(seconds=0.5)
    )
    over.set()

    assert reasons([slow]) == ["hours: no answer within 0.5 s; try again later"]
    assert isinstance(dollars, Answer)


def test_providers_are_asked_at_the_same_time(cache: PriceCache) -> None:
    all_asked = threading.Barrier(3, timeout=30)

    def met(offers: Sequence[Offer]) -> Sequence[Offer]:
        all_asked.wait()
        return offers

    queries = [given_by(met, name) for name in ("hours", "seconds", "dollars")]

    assert not reasons(ask(*queries, cache=cache, patience=timedelta(seconds=60)))


def test_who_is_still_waited_for_is_told(cache: PriceCache) -> None:
    told: list[list[str]] = []
    queries = [query("hours"), query("dollars", delay="0.3")]

    ask(*queries, cache=cache, waiting=lambda names: told.append(list(names)))

    assert told == [["dollars", "hours"], ["dollars"]]


def test_public_prices_stand_in_for_missing_credentials_and_say_so(cache: PriceCache) -> None:
    (answer,) = ask(query("seconds"), cache=cache, environment={})

    assert isinstance(answer, Answer)
    assert answer.public
    assert answer.remark == "seconds: public prices; set SECONDS_TOKEN to see what is available"


def test_public_prices_stand_in_for_refused_credentials_and_say_so(cache: PriceCache) -> None:
    (answer,) = ask(query("seconds"), cache=cache, environment={"SECONDS_TOKEN": "secret-word"})

    assert isinstance(answer, Answer)
    assert answer.public
    assert "it refused the credentials" in answer.remark
    assert "secret-word" not in answer.remark


def test_no_secret_is_in_a_reason(cache: PriceCache) -> None:
    results = ask(query("hours"), cache=cache, environment={"HOURS_TOKEN": "secret-word"})

    assert reasons(results) == ["hours: it does not take the token ***"]


def test_public_prices_that_cannot_be_read_leave_both_remedies(cache: PriceCache) -> None:
    results = ask(query("seconds", failure="no connection"), cache=cache, environment={})

    assert reasons(results) == ["seconds: no connection; set SECONDS_TOKEN to use it"]


def test_an_answer_is_used_again_for_an_hour(cache: PriceCache) -> None:
    ask(query("hours"), cache=cache)
    unused = query("hours")

    (soon,) = ask(unused, cache=cache, now=NOW + timedelta(minutes=59))
    (late,) = ask(unused, cache=cache, now=NOW + timedelta(minutes=61))

    assert isinstance(soon, Answer)
    assert isinstance(late, Answer)
    assert (soon.cached, soon.asked_at) == (True, NOW)
    assert (late.cached, late.asked_at) == (False, NOW + timedelta(minutes=61))


def test_refreshing_asks_however_young_the_answer_is(cache: PriceCache) -> None:
    ask(query("hours"), cache=cache)

    (answer,) = ask(query("hours"), cache=cache, source="provider")

    assert isinstance(answer, Answer)
    assert not answer.cached


def test_offline_asks_nobody_and_says_how_old_the_answer_is(cache: PriceCache) -> None:
    ask(query("hours"), cache=cache)
    later = NOW + timedelta(hours=26, minutes=5)

    kept, none = ask(
        query("hours"), query("seconds"), cache=cache, now=later, source="cache", environment={}
    )

    assert isinstance(kept, Answer)
    assert kept.remark == "hours: cached answer, 1 d 2 h old"
    assert reasons([none]) == [
        "seconds: no cached answer to this question; run again without --offline"
    ]


def test_a_provider_that_fails_now_is_shown_with_its_last_prices(cache: PriceCache) -> None:
    def open_down(opening: Opening) -> Provider:
        raise ProviderError(f"dollars: the service is down, delay {opening.settings['delay']}")

    ask(query("dollars"), cache=cache)
    up = query("dollars")
    down = replace(up, found=replace(up.found, plugin=replace(up.found.plugin, open=open_down)))

    (answer,) = ask(down, cache=cache, now=NOW + timedelta(hours=3))

    assert isinstance(answer, Answer)
    assert answer.remark == (
        "dollars: the service is down, delay 0; showing cached prices from 3 h ago"
    )


def test_another_need_is_another_question_but_another_use_is_not(cache: PriceCache) -> None:
    ask(query("hours"), cache=cache)
    longer = replace(NEEDS, expected=timedelta(days=1), egress_gib=Decimal(7))
    larger = replace(NEEDS, vcpus=4)

    same, other = ask(query("hours", longer), query("hours", larger), cache=cache)

    assert isinstance(same, Answer)
    assert isinstance(other, Answer)
    assert (same.cached, other.cached) == (True, False)


def test_credentials_that_appear_are_not_answered_with_public_prices(cache: PriceCache) -> None:
    ask(query("seconds"), cache=cache, environment={})

    (answer,) = ask(query("seconds"), cache=cache)

    assert isinstance(answer, Answer)
    assert not answer.public


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 0}', '{"format": 2}'])
def test_a_damaged_file_is_as_good_as_none(cache: PriceCache, tmp_path: Path, damage: str) -> None:
    ask(query("hours"), cache=cache)
    (kept,) = (tmp_path / "prices").iterdir()
    kept.write_text(damage)

    (answer,) = ask(query("hours"), cache=cache)

    assert isinstance(answer, Answer)
    assert not answer.cached


def test_a_folder_that_cannot_be_written_only_means_asking_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = PriceCache(tmp_path / "file" / "prices")

    results = ask(query("hours"), cache=cache)

    assert not reasons(results)


def test_nothing_secret_is_kept(cache: PriceCache, tmp_path: Path) -> None:
    ask(query("hours"), query("seconds"), cache=cache)

    kept = [path.read_text() for path in (tmp_path / "prices").iterdir()]

    assert len(kept) == 2
    assert not any(rentals.GOOD_TOKEN in text for text in kept)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(offers(), max_size=5), st.booleans())
def test_what_is_kept_is_read_back_equal(
    cache: PriceCache,
    some: list[Offer],
    public: bool,  # noqa: FBT001 -- drawn by hypothesis
) -> None:
    question = Question(provider="acme", version="1", requirements=NEEDS, settings={"a": ("b",)})
    mine = tuple(replace(offer, provider="acme") for offer in some)
    answer = Answer(provider="acme", offers=mine, asked_at=NOW, public=public)

    cache.write(question, answer)

    assert cache.read(question) == replace(answer, cached=True)


def test_the_cache_follows_the_xdg_specification() -> None:
    assert prices_folder({"XDG_CACHE_HOME": "/somewhere"}) == Path("/somewhere/materia/prices")
    assert prices_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache/materia/prices"


def test_the_regions_of_a_provider_are_those_of_its_kept_answers(cache: PriceCache) -> None:
    ask(query("hours"), cache=cache)

    assert cache.regions("hours") == ("north",)
    assert cache.regions("seconds") == ()


def test_an_answer_is_dated_when_it_was_asked_for(cache: PriceCache) -> None:
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)

    ask(query("hours"), cache=cache, now=moment)
    (kept,) = ask(query("hours"), cache=cache, now=moment, source="cache")

    assert isinstance(kept, Answer)
    assert kept.asked_at == moment


def test_an_offer_that_cannot_be_true_is_left_out_of_an_answer_and_of_the_kept_one(
    cache: PriceCache,
) -> None:
    given = given_by(lambda offers: [replace(offers[0], hourly=Money(Decimal(0), "EUR")), *offers])

    (fresh,) = ask(given, cache=cache)
    (kept,) = ask(given, cache=cache, now=NOW + timedelta(minutes=1))

    for answer in (fresh, kept):
        assert isinstance(answer, Answer)
        assert all(offer.hourly.amount > 0 for offer in answer.offers)
        (line,) = answer.left_out
        assert line.startswith("hours: ")
        assert "its price of an hour is 0 EUR, which is out of range" in line


def test_a_provider_of_which_nothing_can_be_believed_says_why(cache: PriceCache) -> None:
    given = given_by(lambda offers: [replace(offers[0], disk_gib=0)])

    (reason,) = reasons(ask(given, cache=cache))

    assert reason.startswith("hours: returned no offers: hours: ")
    assert reason.endswith("its disk is 0, which is out of range")


def test_what_a_plugin_left_out_is_part_of_its_answer(cache: PriceCache) -> None:
    lines = ["hours: moon-2 is left out: HTTP 503"]
    given = given_by(lambda offers: Entries(offers, lines))

    (answer,) = ask(given, cache=cache)

    assert isinstance(answer, Answer)
    assert list(answer.left_out) == lines


def test_a_provider_is_opened_once_for_all_its_questions(cache: PriceCache) -> None:
    opened: list[Opening] = []
    needs = [replace(NEEDS, vcpus=vcpus) for vcpus in (1, 2, 4)]
    plugin = PLUGINS["hours"]

    def open_counted(opening: Opening) -> Provider:
        opened.append(opening)
        return plugin.open(opening)

    queries = [query("hours", need) for need in needs]
    counted = [
        replace(one, found=replace(one.found, plugin=replace(plugin, open=open_counted)))
        for one in queries
    ]
    counted = [replace(one, found=counted[0].found) for one in counted]

    results = ask(*counted, cache=cache)

    assert not reasons(results)
    assert len(opened) == 1
    asked: list[int] = []
    for _ in needs:
        opened[0].once.ask("the list", lambda: asked.append(1))
    assert asked == [1]


def test_the_time_to_load_an_sdk_is_not_the_time_to_answer(cache: PriceCache) -> None:
    plugin = PLUGINS["hours"]

    def open_slowly(opening: Opening) -> Provider:
        time.sleep(1)
        return plugin.open(opening)

    slow = query("hours")
    slow = replace(
        slow, found=replace(slow.found, plugin=replace(slow.found.plugin, open=open_slowly))
    )

    (answer,) = ask(slow, cache=cache, patience=timedelta(seconds=0.7))

    assert isinstance(answer, Answer)


def given_by(
    change: Callable[[Sequence[Offer]], Sequence[Offer]], name: str = "hours"
) -> OfferQuery:
    """A question to that provider whose offers are changed on their way."""
    plugin = PLUGINS[name]

    class Changed:
        def __init__(self, inner: Provider) -> None:
            self._inner = inner

        def offers(self, requirements: Requirements) -> Sequence[Offer]:
            return change(self._inner.offers(requirements))

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

    def open_changed(opening: Opening) -> Provider:
        return cast("Provider", Changed(plugin.open(opening)))

    one = query(name)
    return replace(one, found=replace(one.found, plugin=replace(plugin, open=open_changed)))
