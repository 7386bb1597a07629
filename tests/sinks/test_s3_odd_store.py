"""What stores do that are not quite AWS, several things at once, and what comes of it."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.odd_store import Habits, OddStore
from fakes.patience import QUICK
from fakes.s3_runs import Machine, machines
from materia.errors import ConfigError, MateriaError, SinkError
from materia_store.bucket.pointer import decode
from materia_store.object_store import Patience
from materia_testing.contracts.sinks.publish import expected, publish_version
from materia_testing.contracts.sinks.raw import JANUARY, NEW, OLD, SOURCE, fetched, in_use, refused

POINTER = "coffee/published.json"


def two_runs(on: Machine, folder: Path) -> None:
    sink, transform = on("extract"), on("transform")
    for version, content in ((1, OLD), (2, NEW)):
        sink.known(SOURCE)
        sink.record(SOURCE, JANUARY, fetched(folder / "in", JANUARY, content, etag=f'"{version}"'))
        sink.record(SOURCE, JANUARY, refused(folder / "in", b"<html>"))
        sink.known(SOURCE)
        assert publish_version(transform, version) == expected(version)


def test_no_name_is_written_twice_within_the_time_that_the_store_allows(
    store: OddStore, tmp_path: Path
) -> None:
    store.be(apart=0.2)
    two_runs(
        machines(store, "acme", tmp_path, replace(QUICK, apart=timedelta(seconds=0.2))), tmp_path
    )

    assert store.refused(429) == []
    assert Patience().apart > timedelta(seconds=1), "R2 allows one write a second"


def test_a_store_that_refuses_a_second_write_all_the_same_is_waited_for(
    store: OddStore, tmp_path: Path
) -> None:
    """Machines that write to one name do not know when another did."""
    store.be(apart=0.2)
    patience = replace(QUICK, overall=timedelta(seconds=20), longest=timedelta(seconds=0.3))
    on = machines(store, "acme", tmp_path, patience)
    for name in ("one", "two", "three"):
        on(name).record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD, etag=name))
    on("four").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, NEW))

    assert store.refused(429) != []
    assert in_use(machines(store, "acme", tmp_path)("reader")) == NEW


def test_an_overload_is_waited_for_by_the_clock(store: OddStore, tmp_path: Path) -> None:
    store.be(overloaded=1.5)
    patience = replace(QUICK, reach=timedelta(seconds=0), overall=timedelta(seconds=60))
    on = machines(store, "acme", tmp_path, patience)
    two_runs(on, tmp_path)

    assert len(store.refused(503)) > 5
    assert Patience().overall >= timedelta(minutes=2)
    assert Patience().longest < Patience().overall / 4, "it is asked again and again until then"


def test_an_overload_without_end_is_told_and_harms_nothing(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    two_runs(at, tmp_path)
    store.be(overloaded=1e9)
    with pytest.raises(SinkError, match=r"is overloaded \(503 SlowDown\); run again"):
        at("another").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    store.be(overloaded=0)

    assert in_use(at("reader")) == NEW


def test_many_habits_at_once_change_nothing(store: OddStore, tmp_path: Path) -> None:
    store.habits = Habits(
        apart=0.1,
        overloaded=0.5,
        page=2,
        listing=frozenset({"drops", "strangers", "sizes", "twice", "no etags", "ancient"}),
        late=30,
        deletes=405,
        errors_in_200=4,
        bare_etags=True,
    )
    patience = replace(QUICK, apart=timedelta(seconds=0.1), overall=timedelta(seconds=60))
    on = machines(store, "acme", tmp_path, patience)
    two_runs(on, tmp_path)

    assert in_use(on("reader")) == NEW
    assert on("reader").fingerprint() == "stamp 2"


def test_an_error_inside_a_200_is_asked_for_again_and_is_not_taken_for_damage(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    two_runs(at, tmp_path)
    store.be(errors_in_200=3)
    assert at("reader").fingerprint() == "stamp 2"
    store.be(errors_in_200=10_000)
    sink = at("another")
    for call in (sink.fingerprint, sink.published, lambda: sink.known(SOURCE)):
        with pytest.raises(SinkError, match="answered with success and with the error SlowDown"):
            call()
    with pytest.raises(SinkError, match=r"run again"):
        sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    store.be(errors_in_200=0)

    assert in_use(at("third")) == NEW


def test_a_database_that_the_store_lost_is_not_published(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    two_runs(at, tmp_path)
    sink = at("another")
    database = sink.checkout()
    assert database.exists()
    store.be(loses=1)
    with pytest.raises(SinkError, match=r"materia\.duckdb: cannot write it: the store took"):
        publish_version(sink, 3)

    assert at("reader").fingerprint() == "stamp 2"
    assert publish_version(at("next"), 4) == expected(4)


def old_database(store: OddStore) -> str:
    """Make all that is published two days old, and add what a killed run left; its name."""
    name = f"coffee/databases/{'0' * 64}/materia.duckdb"
    store.state.objects[name] = replace(store.state.objects[POINTER], content=b"left")
    store.age(timedelta(days=2))
    return name


@pytest.mark.parametrize("status", of_each_kind([501, 405, 403, 503], 501))
def test_what_cannot_be_cleared_away_is_warned_of_and_fails_nothing(
    store: OddStore,
    at: Machine,
    tmp_path: Path,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    two_runs(at, tmp_path)
    left = old_database(store)
    store.be(deletes=status)
    with caplog.at_level(logging.WARNING, logger="materia"):
        assert publish_version(at("another"), 3) == expected(3)

    assert at("reader").fingerprint() == "stamp 3"
    assert left in store.names()
    (warning,) = caplog.messages
    assert warning.startswith(f"s3://acme/{left}: cannot delete this unused object; it uses")
    assert f"({status} NotImplemented)" in warning
    caplog.clear()
    store.be(deletes=0)
    assert publish_version(at("another"), 4) == expected(4)
    assert left not in store.names()
    assert caplog.messages == []


def test_a_listing_that_fails_after_the_swap_is_warned_of_and_fails_nothing(
    store: OddStore, at: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    two_runs(at, tmp_path)
    store.be(listing=frozenset({"no end"}))
    assert publish_version(at("another"), 3) == expected(3)

    assert at("reader").fingerprint() == "stamp 3"
    assert ["cannot delete old databases" in one for one in caplog.messages] == [True]


def test_a_listing_that_says_all_is_ancient_deletes_nothing_that_is_not(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    two_runs(at, tmp_path)
    young = f"coffee/databases/{'1' * 64}/materia.duckdb"
    store.state.objects[young] = replace(
        store.state.objects[POINTER], content=b"x", modified=datetime.now(UTC)
    )
    store.be(listing=frozenset({"ancient", "strangers", "sizes"}))
    publish_version(at("another"), 3)

    assert young in store.names()
    pointer = decode(store.state.objects[POINTER].content, "published.json")
    assert f"coffee/{pointer.earlier[0].object}" in store.names()


def test_what_materia_did_not_write_is_not_deleted(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    two_runs(at, tmp_path)
    theirs = ("coffee/databases/notes.txt", "coffee/databases/abc/materia.duckdb")
    for name in theirs:
        store.state.objects[name] = store.state.objects[POINTER]
    left = old_database(store)
    publish_version(at("another"), 3)

    assert [name for name in theirs if name in store.names()] == list(theirs)
    assert left not in store.names()


@pytest.mark.parametrize(
    ("habits", "told"),
    [
        (
            Habits(conditions="refused"),
            r"does not support this \(501 NotImplemented\); use another",
        ),
        (Habits(conditions="ignored"), "ignores If-Match or If-None-Match"),
        (Habits(conditions="ignored", bare_etags=True, apart=0.01), "ignores If-Match"),
    ],
)
def test_a_store_without_conditions_is_refused_before_anything_is_written(
    store: OddStore, at: Machine, tmp_path: Path, habits: Habits, told: str
) -> None:
    store.habits = habits
    calls = (
        lambda: at("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD)),
        lambda: publish_version(at("two"), 1),
    )
    for call in calls:
        with pytest.raises(ConfigError, match=told):
            call()

    assert [name for name in store.names() if name.endswith((".zip", ".json"))] == []


def test_a_store_that_makes_what_is_not_there_is_no_store_that_ignores_conditions(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    """In a bucket where an earlier materia has left only the first of the two objects."""
    two_runs(at, tmp_path)
    del store.state.objects["coffee/conditional-writes-2.txt"]
    store.be(conditions="lenient")

    assert publish_version(at("another"), 3) == expected(3)


def test_a_store_that_sends_requests_elsewhere_is_told_and_writes_nothing_there(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    elsewhere = OddStore()
    try:
        store.be(redirect=elsewhere.endpoint)
        for call in (
            at("one").fingerprint,
            lambda: at("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD)),
        ):
            with pytest.raises(MateriaError, match="sends requests elsewhere, to 127"):
                call()
        assert elsewhere.names() == []
    finally:
        elsewhere.close()
