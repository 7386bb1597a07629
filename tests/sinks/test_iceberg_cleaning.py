"""Snapshot expiry and deletion of orphan files."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.iceberg_catalog import IcebergCatalog
from fakes.iceberg_runs import Machine, Reader, machines, run, settings_of
from fakes.s3 import Fault, S3Server
from materia.errors import MateriaError
from materia_iceberg.catalog.table_state import TableName, TableState
from materia_iceberg.keeping import Keeping
from materia_iceberg.tables.cleaning import expired

TABLE = "serving.prices"
SOME = "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS i FROM range({})"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def frugal(s3_server: S3Server, bucket: str, catalog: IcebergCatalog, tmp_path: Path) -> Machine:
    """Sinks that keep the snapshots of two publications and expire single snapshots."""
    keeping = Keeping(publications=2, together=1)
    return machines(settings_of(s3_server, bucket, catalog.uri), tmp_path, keeping=keeping)


def older(catalog: IcebergCatalog, s3_server: S3Server, bucket: str, by: timedelta) -> None:
    """Make everything in the bucket and the catalog older."""
    s3_server.age(bucket, by)
    for table in catalog.tables.values():
        for one in table["snapshots"]:
            one["timestamp-ms"] -= int(by.total_seconds() * 1000)


def lying(s3_server: S3Server, bucket: str, table: str) -> set[str]:
    """Addresses of the files of a table."""
    names = s3_server.names(bucket)
    return {f"s3://{bucket}/{name}" for name in names if name.startswith(f"tables/{table}-")}


def runs_of(catalog: IcebergCatalog, name: str) -> list[str]:
    return [one["summary"]["materia.run"] for one in catalog.metadata(name)["snapshots"]]


@pytest.mark.usefixtures("kind")
def test_snapshots_of_old_publications_expire_with_their_files(
    s3_server: S3Server, bucket: str, frugal: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    for number in range(1, 7):
        run(frugal("one"), f"{number}", SOME.format(number), TABLE)
        older(catalog, s3_server, bucket, 2 * DAY)

    assert runs_of(catalog, TABLE) == ["5", "6"]
    assert lying(s3_server, bucket, "serving/prices") == reader.referenced(TABLE)
    assert lying(s3_server, bucket, "publication/run") == reader.referenced("publication.run")
    assert len(reader.rows(TABLE)) == 6


def test_a_compaction_of_the_list_of_publications_hides_none_of_them(
    s3_server: S3Server, bucket: str, catalog: IcebergCatalog, tmp_path: Path
) -> None:
    settings = settings_of(s3_server, bucket, catalog.uri)
    on = machines(settings, tmp_path, keeping=Keeping(publications=3, together=1))
    for number in range(1, 5):
        run(on("one"), f"{number}", SOME.format(number), TABLE)
        catalog.compact("publication.run")
        older(catalog, s3_server, bucket, 2 * DAY)

    assert runs_of(catalog, TABLE) == ["2", "3", "4"]
    places = {one.run: one.place for one in on("two").publications()}
    assert [places[name].split()[0] for name in "234"] == ["publication.run"] * 3


def test_young_and_tagged_snapshots_stay_with_their_files(
    s3_server: S3Server, bucket: str, frugal: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    run(frugal("one"), "1", SOME.format(1), TABLE)
    first = catalog.metadata(TABLE)["current-snapshot-id"]
    catalog.tag(TABLE, "kept", first)
    older(catalog, s3_server, bucket, 2 * DAY)
    for number in range(2, 6):
        run(frugal("one"), f"{number}", SOME.format(number), TABLE)
    assert runs_of(catalog, TABLE) == ["1", "2", "3", "4", "5"]
    for number in range(6, 9):
        older(catalog, s3_server, bucket, 2 * DAY)
        run(frugal("one"), f"{number}", SOME.format(number), TABLE)

    assert runs_of(catalog, TABLE) == ["1", "7", "8"]
    assert reader.rows(TABLE, snapshot=first) == [(0,)]
    assert lying(s3_server, bucket, "serving/prices") >= reader.referenced(TABLE)


def test_old_orphan_files_of_killed_runs_are_deleted_and_those_of_a_running_one_stay(
    s3_server: S3Server, bucket: str, machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    run(machine("one"), "1", SOME.format(1), TABLE)
    refused = Fault(method="POST", name="commit$", status=403, code="no", times=9)
    with catalog.failing(refused), pytest.raises(MateriaError):
        run(machine("dead"), "dead", SOME.format(2), TABLE)
    older(catalog, s3_server, bucket, 2 * DAY)
    dead = lying(s3_server, bucket, "serving/prices") - reader.referenced(TABLE)
    with catalog.failing(refused), pytest.raises(MateriaError):
        run(machine("living"), "living", SOME.format(3), TABLE)
    living = lying(s3_server, bucket, "serving/prices") - reader.referenced(TABLE) - dead
    s3_server.client().put_object(
        Bucket=bucket, Key="tables/serving/prices-2/data/theirs", Body=b""
    )
    older(catalog, s3_server, bucket, timedelta(hours=1))
    run(machine("one"), "2", SOME.format(4), TABLE)
    left = lying(s3_server, bucket, "serving/prices")

    assert len(dead) == len(living) == 3
    assert left & dead == set()
    assert left >= living | reader.referenced(TABLE)
    assert f"s3://{bucket}/tables/serving/prices-2/data/theirs" in left


def test_files_of_a_dropped_table_are_deleted_after_a_day_and_those_of_its_successor_stay(
    s3_server: S3Server, bucket: str, machine: Machine, catalog: IcebergCatalog
) -> None:
    both = f"{SOME.format(1)}; CREATE OR REPLACE TABLE serving.gone AS SELECT 1 AS i"
    run(machine("one"), "1", both, TABLE, "serving.gone")
    gone = catalog.metadata("serving.gone")["table-uuid"]
    run(machine("one"), "2", SOME.format(2), TABLE)
    files = lying(s3_server, bucket, "serving/gone")
    assert len(files) == 3
    folder = min(files).removeprefix(f"s3://{bucket}/").rpartition("/data/")[0]
    successor = f"{folder}/metadata/00001-b.metadata.json"
    for name, of in ((f"{folder}/metadata/00001-a.metadata.json", gone), (successor, "another")):
        body = json.dumps({"table-uuid": of}).encode()
        s3_server.client().put_object(Bucket=bucket, Key=name, Body=body)

    def passed(said: dict[str, Any]) -> None:
        said["summary"]["materia.publication"] = said["summary"]["materia.publication"].replace(
            datetime.now(UTC).date().isoformat(), (datetime.now(UTC) - 2 * DAY).date().isoformat()
        )

    older(catalog, s3_server, bucket, 2 * DAY)
    for one in catalog.tables["publication", "run"]["snapshots"]:
        passed(one)
    run(machine("one"), "3", SOME.format(3), TABLE)

    assert lying(s3_server, bucket, "serving/gone") == {f"s3://{bucket}/{successor}"}


def test_a_table_of_another_writer_with_the_name_of_a_dropped_one_stays(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    both = f"{SOME.format(1)}; CREATE OR REPLACE TABLE serving.gone AS SELECT 1 AS i"
    run(machine("one"), "1", both, TABLE, "serving.gone")
    dropped = catalog.metadata("serving.gone")
    run(machine("one"), "2", SOME.format(2), TABLE)
    catalog.tables["serving", "gone"] = dropped | {"table-uuid": "of another"}
    run(machine("one"), "3", SOME.format(3), TABLE)

    assert ("serving", "gone") in catalog.tables


def state_of(*ages: timedelta, refs: dict[str, int]) -> TableState:
    """A table with the snapshots 1, 2, ... of these ages, each the parent of the next."""
    snapshots = [
        {
            "snapshot-id": number,
            "parent-snapshot-id": number - 1,
            "timestamp-ms": int((NOW - age).timestamp() * 1000),
        }
        for number, age in enumerate(ages, start=1)
    ]
    metadata = {
        "snapshots": snapshots,
        "refs": {name: {"snapshot-id": number} for name, number in refs.items()},
    }
    name = TableName(namespace="serving", table="prices")
    return TableState(name=name, metadata=metadata, config={})


def test_only_old_snapshots_that_nothing_needs_expire() -> None:
    state = state_of(9 * DAY, 8 * DAY, 7 * DAY, 6 * DAY, DAY / 2, DAY / 3, refs={"main": 6})
    one = Keeping(together=1)

    assert expired(state, {4}, one, now=NOW) == (1, 2, 3)
    assert expired(state, set(), Keeping(together=5), now=NOW) == ()
    assert expired(state, set(), Keeping(together=4), now=NOW) == (1, 2, 3, 4)
    branch = dataclasses.replace(
        state,
        metadata={
            **state.metadata,
            "refs": {"main": {"snapshot-id": 6}, "theirs": {"snapshot-id": 2}},
        },
    )
    assert expired(branch, set(), one, now=NOW) == (3, 4), "a branch keeps what it came from"
