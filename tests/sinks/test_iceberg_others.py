"""Other programs in the same catalog: their tables, renamed tables, moved tables."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.iceberg_catalog import IcebergCatalog, Table
from fakes.iceberg_runs import Machine, Reader, machines, run, settings_of
from fakes.s3 import S3Server
from materia.errors import SinkError
from materia_iceberg.keeping import Keeping

TABLE = "serving.prices"
SOME = "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS i FROM range({})"
OTHER = "CREATE TABLE serving.other AS SELECT 1 AS i"
DAYS = timedelta(days=2)


def older(catalog: IcebergCatalog, s3_server: S3Server, bucket: str) -> None:
    """Make everything in the bucket and the catalog two days older, drops of tables too."""
    s3_server.age(bucket, DAYS)
    today = datetime.now(UTC)
    for table in catalog.tables.values():
        for one in table["snapshots"]:
            one["timestamp-ms"] -= int(DAYS.total_seconds() * 1000)
            for name, value in one["summary"].items():
                then = (today - DAYS).date().isoformat()
                one["summary"][name] = value.replace(today.date().isoformat(), then)


def of_another(table: Table) -> Table:
    """A table of another program, with the same rows."""
    snapshots = [
        one | {"summary": {"operation": "append", "total-records": "1"}}
        for one in table["snapshots"]
    ]
    return table | {"table-uuid": str(uuid.uuid4()), "snapshots": snapshots}


@pytest.mark.parametrize("name", ["prices", "other"])
def test_a_table_with_rows_of_another_program_is_refused_and_stays(
    machine: Machine, catalog: IcebergCatalog, name: str
) -> None:
    """Of a name that no table had before, and of a published table that somebody dropped."""
    run(machine("one"), "1", OTHER, "serving.other")
    theirs = of_another(catalog.metadata("serving.other"))
    catalog.tables["serving", name] = theirs
    with pytest.raises(SinkError, match=rf"^serving\.{name}: another program made this table"):
        run(machine("one"), "2", SOME.format(2), TABLE, "serving.other")

    assert catalog.metadata(f"serving.{name}") == theirs
    assert machine("two").fingerprint() == "1"


def test_a_list_of_publications_of_another_program_is_refused(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    run(machine("one"), "1", SOME.format(1), TABLE)
    theirs = of_another(catalog.metadata("publication.run"))
    catalog.tables["publication", "run"] = theirs
    with pytest.raises(SinkError, match=r"publication\.run: another program made this table"):
        run(machine("two"), "2", SOME.format(2), TABLE)

    assert catalog.metadata("publication.run") == theirs


def test_a_renamed_table_keeps_its_files_whether_its_model_is_deleted_or_makes_a_new_table(
    machine: Machine, catalog: IcebergCatalog, reader: Reader, s3_server: S3Server, bucket: str
) -> None:
    """Also if the catalog gives the new table the folder of the renamed one."""
    run(machine("one"), "1", f"{SOME.format(1)}; {OTHER}", TABLE, "serving.other")
    for name in ("other", "prices"):
        catalog.tables["archive", name] = catalog.tables.pop(("serving", name))
    folder = catalog.metadata("archive.prices")["location"]
    for name in ("2", "3"):
        run(machine("one"), name, SOME.format(name), TABLE)
        catalog.tables["serving", "prices"]["location"] = folder
        older(catalog, s3_server, bucket)
    run(machine("one"), "4", SOME.format(4), TABLE)

    assert list(reader.published()) == [TABLE]
    assert len(reader.rows(TABLE)) == 4
    assert reader.rows("archive.other") == [(1,)]
    assert reader.rows("archive.prices") == [(0,)]


def test_a_published_table_whose_folder_changed_is_neither_dropped_nor_loses_files(
    s3_server: S3Server, bucket: str, catalog: IcebergCatalog, reader: Reader, tmp_path: Path
) -> None:
    """A catalog may say s3a:// of what it called s3://; the files in manifests stay the same."""
    keeping = Keeping(publications=2, together=1)
    on = machines(settings_of(s3_server, bucket, catalog.uri), tmp_path, keeping=keeping)
    run(on("one"), "1", SOME.format(1), TABLE)
    table = catalog.metadata(TABLE)
    first = table["current-snapshot-id"]
    moved = table | {"location": table["location"].replace("s3://", "s3a://")}
    catalog.tables["serving", "prices"] = moved
    catalog.tag(TABLE, "kept", first)
    for name in "234":
        older(catalog, s3_server, bucket)
        run(on("one"), name, SOME.format(name), TABLE)

    assert catalog.metadata(TABLE)["table-uuid"] == table["table-uuid"]
    assert reader.rows(TABLE, snapshot=first) == [(0,)]
    names = [name for name in s3_server.names(bucket) if name.startswith("tables/serving/")]
    assert len(names) == 3 * len(catalog.metadata(TABLE)["snapshots"]), "the others are deleted"
