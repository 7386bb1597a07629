"""The last publications in a catalog: listed, read, and restored by a rollback."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.iceberg_catalog import AT_ONCE, IN_ORDER, IcebergCatalog
from fakes.iceberg_runs import Machine, Reader, build, run
from fakes.s3 import Fault
from materia.data import PublishRequest
from materia.errors import BusyError, SinkError

TABLES = ("serving.prices", "serving.sorts")
SOME = (
    "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS price FROM range({});"
    "CREATE OR REPLACE TABLE serving.sorts AS SELECT 'arabica' AS sort"
)

BOTH = (
    "CREATE OR REPLACE TABLE serving.prices AS SELECT {0} AS number;"
    "CREATE OR REPLACE TABLE serving.sorts AS SELECT {0} AS number"
)


@pytest.fixture(params=[AT_ONCE, IN_ORDER, "apache"])
def kind(request: pytest.FixtureRequest) -> str:
    """Apache's catalog, with the gate of the fake one, has multi-table commits."""
    return AT_ONCE if request.param == "apache" else str(request.param)


def prices(reader: Reader, snapshot: int | None = None) -> int:
    found: int = reader.rows(TABLES[0], "SELECT count(*) FROM it", snapshot)[0][0]
    return found


@pytest.mark.usefixtures("kind")
def test_each_publication_is_listed_with_the_snapshot_that_names_its_tables(
    machine: Machine, reader: Reader
) -> None:
    for number in (1, 2):
        run(machine("one"), f"run {number}", SOME.format(number), *TABLES)
    kept = machine("two").publications()

    assert [one.run for one in kept] == ["run 2", "run 1"]
    for one, count in zip(kept, (2, 1), strict=True):
        name, _, snapshot = one.place.partition(" ")
        rows = reader.rows(
            name,
            "SELECT table_name, snapshot_id FROM it WHERE state = 'published' AND run = "
            f"'{one.run}'",
            int(snapshot),
        )
        assert prices(reader, dict(rows)[TABLES[0]]) == count


@pytest.mark.usefixtures("kind")
def test_a_rollback_gives_readers_all_tables_of_the_older_run_in_new_snapshots(
    machine: Machine, reader: Reader, catalog: IcebergCatalog
) -> None:
    run(machine("one"), "run 1", SOME.format(3), *TABLES, fingerprint="acme:1")
    run(machine("one"), "run 2", SOME.format(5), *TABLES, fingerprint="acme:2")
    sorts = catalog.metadata(TABLES[1])["current-snapshot-id"]
    machine("two").roll_back("run 1", run="back")
    written = len(catalog.requests)
    machine("two").roll_back("run 1", run="back")

    assert prices(reader) == 3
    assert machine("three").fingerprint() == "acme:2", "a run that finds nothing new does nothing"
    assert reader.rows("publication.run", "SELECT DISTINCT run, state FROM it") == [
        ("back", "published")
    ]
    assert catalog.metadata(TABLES[1])["current-snapshot-id"] == sorts, "it has not changed"
    assert not [one for one in catalog.requests[written:] if not one.startswith("GET")]
    newest, *_ = machine("two").publications()
    assert (newest.run, newest.restores) == ("back", "run 1")
    run(machine("one"), "run 3", SOME.format(7), *TABLES)
    assert prices(reader) == 7


def test_a_run_that_began_before_a_rollback_publishes_nothing(
    machine: Machine, reader: Reader
) -> None:
    run(machine("one"), "run 1", SOME.format(3), *TABLES)
    run(machine("one"), "run 2", SOME.format(5), *TABLES)
    slow = machine("slow")
    database = build(slow, SOME.format(9))
    machine("two").roll_back("run 1", run="back")
    with pytest.raises(BusyError):
        slow.publish(PublishRequest(run="run 3", database=database, tables=TABLES, fingerprint="3"))

    assert prices(reader) == 3


def test_after_a_rollback_that_broke_off_the_next_run_publishes_again(
    machine: Machine, reader: Reader, catalog: IcebergCatalog, kind: str
) -> None:
    def publish(number: int, name: str) -> None:
        run(machine("one"), name, BOTH.format(number), *TABLES, fingerprint=f"acme:{number}")

    publish(1, "run 1")
    publish(2, "run 2")
    refused = Fault(method="POST", name="commit$|tables/sorts$", status=403, code="no")
    with catalog.failing(refused), pytest.raises(SinkError):
        machine("two").roll_back("run 1", run="back")

    heads = {reader.rows(name)[0][0] for name in TABLES}
    in_force = {reader.rows(name, snapshot=one)[0][0] for name, one in reader.published().items()}
    seen = machine("three").fingerprint() or ""

    assert in_force == {2}
    assert heads == ({2} if kind == AT_ONCE else {1, 2})
    assert seen.startswith("acme:2"), "the tables are those of another source"
    assert (seen == "acme:2") == (kind == AT_ONCE), "no run would set it right"
    machine("two").roll_back("run 1", run="back again")
    assert machine("three").fingerprint() == "acme:2"
    assert {reader.rows(name)[0][0] for name in TABLES} == {1}

    with catalog.failing(replace(refused)), pytest.raises(SinkError):
        machine("two").roll_back("run 2", run="forward")
    publish(2, "run 3")
    assert machine("three").fingerprint() == "acme:2"
    assert {reader.rows(name)[0][0] for name in TABLES} == {2}


def test_a_run_that_another_has_overtaken_between_two_tables_changes_no_more_of_them(
    machine: Machine, reader: Reader, catalog: IcebergCatalog, kind: str
) -> None:
    some = (
        "CREATE OR REPLACE TABLE serving.prices AS SELECT {} AS number;"
        "CREATE OR REPLACE TABLE serving.sorts AS SELECT {} AS number"
    )
    run(machine("one"), "run 1", some.format(1, 1), *TABLES)
    late = Fault(
        method="POST",
        name="commit$|tables/sorts$",
        act=lambda: run(machine("two"), "run 3", some.format(3, 1), *TABLES),
    )
    with catalog.failing(late), pytest.raises(BusyError):
        run(machine("one"), "run 2", some.format(2, 2), *TABLES)

    assert late.happened
    assert reader.published().keys() == set(TABLES)
    assert [reader.rows(name) for name in TABLES] == [[(3,)], [(1,)]], kind
    for name, snapshot in reader.published().items():
        assert catalog.metadata(name)["current-snapshot-id"] == snapshot
