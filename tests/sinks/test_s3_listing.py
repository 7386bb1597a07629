"""A listing is a hint: what it leaves out, adds or says wrong takes nothing away."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.odd_store import OddStore
from fakes.patience import QUICK
from fakes.s3_runs import Machine, machines
from materia.data import Partition
from materia.errors import SinkError
from materia_store.bucket import raw_files
from materia_testing.contracts.sinks.publish import expected, publish_version
from materia_testing.contracts.sinks.raw import JANUARY, NEW, OLD, SOURCE, fetched, in_use

MONTHS = tuple(replace(JANUARY, key=f"2026-{month:02}") for month in range(1, 8))
INDEX = "coffee/raw/acme/partitions.json"


def extract(on: Machine, folder: Path, *months: Partition) -> None:
    """As the stage does: what is known, what is new, and what is known then."""
    sink = on("extract")
    sink.known(SOURCE)
    for month in months:
        sink.record(SOURCE, month, fetched(folder / "in", month, OLD))
    sink.known(SOURCE)


CUT = ["half", "nothing", "drops", "encoded", "half strangers sizes", "drops twice no etags"]


@pytest.mark.parametrize("odd", CUT)
def test_what_a_finished_extract_recorded_is_found_whatever_is_listed(
    store: OddStore, at: Machine, tmp_path: Path, odd: str
) -> None:
    extract(at, tmp_path, *MONTHS)
    before = at("reader").known(SOURCE)
    words = frozenset({"no etags"} if "no etags" in odd else ()) | {
        word for word in ("half", "nothing", "drops", "encoded", "strangers", "sizes", "twice")
        if word in odd
    }  # fmt: skip
    store.be(page=3, listing=words)
    found = at("another").known(SOURCE)

    assert list(found) == [month.key for month in MONTHS]
    assert found == before, "with their ETags: no file need come again"


def test_a_listing_that_is_late_hides_nothing_of_the_run_that_wrote_it(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    store.be(late=60)
    extract(at, tmp_path, *MONTHS)

    assert list(at("transform").known(SOURCE)) == [month.key for month in MONTHS]
    assert in_use(at("transform")) == OLD


def test_an_extract_that_was_killed_is_found_as_far_as_it_came(
    store: OddStore, at: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_files, "INDEX_EVERY", raw_files.INDEX_EVERY * 0)
    sink = at("killed")
    for month in MONTHS[:3]:
        sink.record(SOURCE, month, fetched(tmp_path / "in", month, OLD))
    store.be(listing=frozenset({"nothing"}))

    assert list(at("next").known(SOURCE)) == [month.key for month in MONTHS[:3]]


def test_the_index_is_not_written_at_every_file(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    extract(at, tmp_path, *MONTHS)
    writes = [one for one, _ in store.requests if one == f"PUT /acme/{INDEX}"]

    assert len(writes) < len(MONTHS)
    assert json.loads(store.state.objects[INDEX].content)["partitions"] == [
        month.key for month in MONTHS
    ]


def test_a_bucket_of_before_there_was_an_index_gets_one_with_the_next_extract(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    extract(at, tmp_path, *MONTHS[:3])
    del store.state.objects[INDEX]

    assert len(at("reader").known(SOURCE)) == 3
    assert INDEX not in store.names(), "who only reads writes nothing"
    extract(at, tmp_path, MONTHS[3])
    assert json.loads(store.state.objects[INDEX].content)["partitions"] == [
        month.key for month in MONTHS[:4]
    ]


def test_of_two_extracts_at_once_the_index_has_what_both_recorded(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    one, two = at("one"), at("two")
    for sink in (one, two):
        sink.known(SOURCE)
    one.record(SOURCE, MONTHS[0], fetched(tmp_path / "one", MONTHS[0], OLD))
    two.record(SOURCE, MONTHS[1], fetched(tmp_path / "two", MONTHS[1], OLD))
    one.known(SOURCE)
    two.known(SOURCE)
    store.be(listing=frozenset({"nothing"}))

    assert list(at("reader").known(SOURCE)) == ["2026-01", "2026-02"]


def test_nothing_is_published_while_something_recorded_is_not_there(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    extract(at, tmp_path, *MONTHS[:2])
    publish_version(at("one"), 1)
    gone = store.state.objects.pop("coffee/raw/acme/2026-02/known.json")
    sink = at("two")

    assert list(sink.known(SOURCE)) == ["2026-01"]
    with pytest.raises(SinkError, match=r"2026-02/known\.json: is missing, though 2026-02 was"):
        publish_version(sink, 2)
    assert at("reader").fingerprint() == "stamp 1"
    store.state.objects["coffee/raw/acme/2026-02/known.json"] = gone
    again = at("three")
    again.known(SOURCE)
    assert publish_version(again, 3) == expected(3)


def test_what_was_lost_comes_again_with_the_next_extract(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    extract(at, tmp_path, *MONTHS[:2])
    del store.state.objects["coffee/raw/acme/2026-01/known.json"]
    extract(at, tmp_path, MONTHS[0])
    sink = at("transform")

    assert list(sink.known(SOURCE)) == ["2026-01", "2026-02"]
    assert publish_version(sink, 1) == expected(1)


def test_a_file_that_is_not_listed_is_looked_for_before_it_is_fetched_again(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    extract(at, tmp_path, *MONTHS[:2])
    (name,) = (one for one in store.names() if "2026-01/prices" in one)
    del store.state.objects[name]
    store.be(listing=frozenset({"nothing"}))
    found = at("another").known(SOURCE)

    assert found["2026-01"].etag is None
    assert found["2026-02"].etag is not None


@pytest.mark.parametrize("odd", ["repeats", "no end"])
def test_a_listing_without_end_is_told(
    store: OddStore, tmp_path: Path, odd: str, at: Machine
) -> None:
    extract(at, tmp_path, *MONTHS)
    store.be(page=3, listing=frozenset({odd}))
    on = machines(store, "acme", tmp_path, QUICK)
    with pytest.raises(SinkError, match="cannot list it: the store repeats the same list"):
        on("reader").known(SOURCE)


@pytest.mark.parametrize("page", [2, 5, 1000])
def test_a_store_with_small_pages_is_one_like_others(
    store: OddStore, at: Machine, tmp_path: Path, page: int
) -> None:
    store.be(page=page)
    extract(at, tmp_path, *MONTHS)
    at("extract").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, NEW, etag='"2"'))

    assert len(at("reader").known(SOURCE)) == len(MONTHS)
    assert in_use(at("reader")) == NEW


def test_a_word_that_lies_in_the_folder_of_another_partition_is_not_taken_for_it(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    extract(at, tmp_path, *MONTHS[:2])
    objects = store.state.objects
    objects["coffee/raw/acme/2026-02/known.json"] = objects["coffee/raw/acme/2026-01/known.json"]
    with pytest.raises(SinkError, match=r"2026-02/known\.json: records the partition '2026-01'"):
        at("reader").known(SOURCE)


def test_an_index_that_is_damaged_is_told_with_its_cure(
    store: OddStore, at: Machine, tmp_path: Path
) -> None:
    extract(at, tmp_path, JANUARY)
    kept = store.state.objects[INDEX]
    for content in (b"", b"[]", b'{"partitions": 3}', b'{"partitions": [""]}', b"\xff"):
        store.state.objects[INDEX] = replace(kept, content=content)
        with pytest.raises(SinkError, match=r"partitions\.json: is damaged .* delete it"):
            at("reader").known(SOURCE)
