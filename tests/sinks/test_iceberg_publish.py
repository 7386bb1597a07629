"""Publish to an Iceberg catalog: snapshots, schemas, unchanged tables, parallel writers."""

import io
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fakes.iceberg_catalog import AT_ONCE, IcebergCatalog
from fakes.iceberg_runs import Machine, Reader, build, machines, run, settings_of
from fakes.s3 import Fault, S3Server
from materia.data import PublishRequest
from materia.errors import BusyError

TABLE = "serving.prices"
SOME = "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS i FROM range({})"


both_kinds = pytest.mark.usefixtures("kind")


def summaries(catalog: IcebergCatalog, name: str) -> list[dict[str, str]]:
    return [one["summary"] for one in catalog.metadata(name)["snapshots"]]


def column(catalog: IcebergCatalog, name: str) -> dict[str, Any]:
    """The fields of the current schema, by name."""
    metadata = catalog.metadata("serving.prices")
    found = {one["schema-id"]: one for one in metadata["schemas"]}
    fields = found[metadata["current-schema-id"]]["fields"]
    return {one["name"]: one for one in fields}[name]  # type: ignore[no-any-return]


@both_kinds
def test_a_run_adds_one_snapshot_with_run_and_fingerprint_to_each_table(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    run(machine("one"), "run 1", SOME.format(3), TABLE, fingerprint="acme:1")
    run(machine("one"), "run 2", SOME.format(4), TABLE, fingerprint="acme:2")
    first, second = summaries(catalog, TABLE)

    assert (first["materia.run"], first["materia.fingerprint"]) == ("run 1", "acme:1")
    assert (second["materia.run"], second["materia.fingerprint"]) == ("run 2", "acme:2")
    assert first["materia.content"] != second["materia.content"]
    assert (second["total-records"], second["deleted-records"]) == ("4", "3")


def test_all_tables_of_a_run_are_one_commit_if_the_catalog_supports_it(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    before = len(catalog.requests)
    sql = f"{SOME.format(3)}; CREATE TABLE serving.other AS SELECT 1 AS j"
    run(machine("one"), "run 1", sql, TABLE, "serving.other")
    posts = [one for one in catalog.requests[before:] if one.startswith("POST")]

    assert posts.count("POST /v1/acme/transactions/commit") == 1
    assert not [one for one in posts if one.endswith(("/prices", "/other", "/tables/run"))]


@both_kinds
def test_an_unchanged_table_is_not_written_again(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    other = "CREATE OR REPLACE TABLE serving.other AS SELECT {} AS j"
    run(machine("one"), "1", f"{SOME.format(9)}; {other.format(1)}", TABLE, "serving.other")
    before = reader.published()
    again = "CREATE OR REPLACE TABLE serving.prices AS SELECT 8 - range AS i FROM range(9)"
    tables = run(machine("two"), "2", f"{again}; {other.format(2)}", TABLE, "serving.other")
    after = reader.published()

    assert [table.rows for table in tables] == [9, 1]
    assert len(summaries(catalog, TABLE)) == 1
    assert after[TABLE] == before[TABLE]
    assert after["serving.other"] != before["serving.other"]


@pytest.mark.parametrize("names", [(TABLE, "serving.other"), ("serving.other", TABLE)])
def test_of_two_views_the_unchanged_one_is_not_written_again_before_or_after_the_other(
    machine: Machine, catalog: IcebergCatalog, reader: Reader, names: tuple[str, str]
) -> None:
    sql = (
        "CREATE OR REPLACE TABLE serving.base AS SELECT {} AS i, j FROM range(9) AS t(j);"
        "CREATE OR REPLACE VIEW serving.prices AS SELECT j FROM serving.base ORDER BY j * {};"
        "CREATE OR REPLACE VIEW serving.other AS SELECT DISTINCT i FROM serving.base"
    )
    run(machine("one"), "1", sql.format(1, 1), *names)
    tables = run(machine("two"), "2", sql.format(2, -1), *names)

    assert {table.name: table.rows for table in tables} == {TABLE: 9, "serving.other": 1}
    assert len(summaries(catalog, TABLE)) == 1
    assert len(summaries(catalog, "serving.other")) == 2
    assert reader.rows("serving.other") == [(2,)]


def test_a_first_publication_lists_each_namespace_and_asks_for_no_table_before_it_creates_it(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    names = [f"serving.t{at}" for at in range(5)]
    sink = machine("one")
    sink.checkout()
    before = len(catalog.requests)
    run(sink, "1", "; ".join(f"CREATE TABLE {name} AS SELECT 1 AS i" for name in names), *names)
    sent = [one.removeprefix("/v1/acme/") for one in catalog.requests[before:]]
    assert len([one for one in sent if one.endswith("namespaces/serving/tables")]) == 1 + len(names)
    assert not [one for one in sent if "/tables/t" in one]

    before = len(catalog.requests)
    run(sink, "2", "CREATE TABLE serving.t5 AS SELECT 1 AS i", *names, "serving.t5")
    assert len(catalog.requests[before:]) == len(names) + 3 + len(["list", "create", "commit"])


def test_a_table_that_the_catalog_does_not_list_is_found_all_the_same(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    run(machine("one"), "1", SOME.format(1), TABLE)
    del catalog.tables["publication", "run"]
    with catalog.failing(Fault(method="GET", name="serving/tables$", status=404, code="none")):
        run(machine("two"), "2", SOME.format(2), TABLE)

    assert [one["materia.run"] for one in summaries(catalog, TABLE)] == ["1", "2"]


def test_a_run_without_new_rows_writes_only_publication_run_and_the_database(
    machine: Machine, s3_server: S3Server, bucket: str
) -> None:
    run(machine("one"), "1", SOME.format(9), TABLE)
    before = set(s3_server.names(bucket))
    run(machine("one"), "2", SOME.format(9), TABLE)
    new = set(s3_server.names(bucket)) - before

    assert sorted({name.split("/")[1] for name in new}) == ["databases", "publication"]
    assert len([name for name in new if name.startswith("tables/")]) == 3


def test_a_changed_table_adds_three_objects(
    machine: Machine, s3_server: S3Server, bucket: str
) -> None:
    run(machine("one"), "1", SOME.format(9), TABLE)
    before = set(s3_server.names(bucket))
    run(machine("one"), "2", SOME.format(10), TABLE)
    new = set(s3_server.names(bucket)) - before

    assert len([name for name in new if name.startswith("tables/serving/prices")]) == 3


def test_reading_the_published_state_is_one_request_after_the_configuration(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    run(machine("one"), "1", SOME.format(9), TABLE, fingerprint="acme:1")
    before = len(catalog.requests)

    assert machine("two").fingerprint() == "acme:1"
    assert len(catalog.requests[before:]) == 2


@both_kinds
def test_publication_run_has_source_run_and_snapshots(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    sql = f"{SOME.format(3)}; COMMENT ON TABLE serving.prices IS 'Prices.'"
    run(machine("one"), "run 1", sql, TABLE, fingerprint="acme:1")
    rows = reader.rows(
        "publication.run",
        "SELECT source, run, state, fingerprint, table_name, rows, description, snapshot_id "
        "FROM it",
    )
    snapshot = catalog.metadata(TABLE)["current-snapshot-id"]

    assert rows == [("acme", "run 1", "published", "acme:1", TABLE, 3, "Prices.", snapshot)]


def test_a_manifest_list_has_what_the_metadata_tables_of_spark_require(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    run(machine("one"), "1", SOME.format(3), TABLE)
    (snapshot,) = catalog.metadata(TABLE)["snapshots"]
    (listed,) = fastavro.reader(io.BytesIO(reader.content(snapshot["manifest-list"])))

    assert isinstance(listed, dict)
    assert listed["partitions"] == [], "NULL is a NullPointerException in `table.manifests`"
    assert listed["added_snapshot_id"] == snapshot["snapshot-id"]
    assert (listed["added_files_count"], listed["added_rows_count"]) == (1, 3)
    assert listed["manifest_length"] == len(reader.content(str(listed["manifest_path"])))


@both_kinds
def test_descriptions_become_docs_in_the_catalog(machine: Machine, catalog: IcebergCatalog) -> None:
    sql = (
        f"{SOME.format(1)}; COMMENT ON TABLE serving.prices IS 'Prices.';"
        "COMMENT ON COLUMN serving.prices.i IS 'Which one.'"
    )
    run(machine("one"), "1", sql, TABLE)
    assert catalog.metadata(TABLE)["properties"]["comment"] == "Prices."
    assert column(catalog, "i")["doc"] == "Which one."

    run(machine("one"), "2", "COMMENT ON COLUMN serving.prices.i IS 'Its number.'", TABLE)
    assert column(catalog, "i")["doc"] == "Its number."
    assert column(catalog, "i")["id"] == 1


def test_added_dropped_and_widened_columns_keep_or_lose_their_ids(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    make = "CREATE OR REPLACE TABLE serving.prices AS SELECT {}"
    run(
        machine("one"), "1", make.format("1::INTEGER AS a, 'x' AS b, 1.5::DECIMAL(5,1) AS c"), TABLE
    )
    ids = {name: column(catalog, name)["id"] for name in "abc"}
    run(machine("one"), "2", make.format("1::BIGINT AS a, 2 AS new, 1.5::DECIMAL(9,1) AS c"), TABLE)

    assert column(catalog, "a") | {"doc": None} == {
        "id": ids["a"],
        "name": "a",
        "type": "long",
        "required": False,
        "doc": None,
    }
    assert column(catalog, "c")["type"] == "decimal(9, 1)"
    assert column(catalog, "c")["id"] == ids["c"]
    assert column(catalog, "new")["id"] > max(ids.values())
    assert reader.rows(TABLE) == [(1, 2, reader.rows(TABLE)[0][2])]

    run(machine("one"), "3", make.format("'text' AS a, 2 AS new, 1.5::DECIMAL(9,1) AS c"), TABLE)
    assert column(catalog, "a")["type"] == "string"
    assert column(catalog, "a")["id"] not in ids.values()
    first = catalog.metadata(TABLE)["snapshots"][0]
    assert reader.rows(TABLE, "SELECT a, b FROM it", first["snapshot-id"]) == [(1, "x")]


@both_kinds
def test_an_empty_table_and_its_first_rows(machine: Machine, reader: Reader) -> None:
    assert run(machine("one"), "1", SOME.format(0), TABLE)[0].rows == 0
    assert reader.rows(TABLE) == []
    assert list(reader.published()) == [TABLE]

    run(machine("one"), "2", SOME.format(2), TABLE)
    assert reader.rows(TABLE) == [(0,), (1,)]
    run(machine("one"), "3", SOME.format(0), TABLE)
    assert reader.rows(TABLE) == []


@both_kinds
def test_the_table_of_a_deleted_model_is_dropped_and_tables_of_others_stay(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    both = f"{SOME.format(3)}; CREATE TABLE serving.gone AS SELECT 1 AS j"
    run(machine("one"), "1", both, TABLE, "serving.gone")
    catalog.tables["serving", "theirs"] = catalog.metadata(TABLE)
    run(machine("one"), "2", "DROP TABLE serving.gone", TABLE)

    assert list(reader.published()) == [TABLE]
    tables = {table for namespace, table in catalog.tables if namespace == "serving"}
    assert tables == {"prices", "theirs"}


def test_the_next_run_drops_a_table_that_a_killed_run_did_not_drop(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    both = f"{SOME.format(3)}; CREATE TABLE serving.gone AS SELECT 1 AS j"
    run(machine("one"), "1", both, TABLE, "serving.gone")
    with catalog.failing(Fault(method="DELETE", status=403, times=9)):
        run(machine("one"), "2", "DROP TABLE serving.gone", TABLE)
    assert ("serving", "gone") in catalog.tables
    run(machine("one"), "3", SOME.format(4), TABLE)

    assert ("serving", "gone") not in catalog.tables


def test_only_the_set_layers_are_published_and_of_raw_only_the_kept_history(
    s3_server: S3Server, bucket: str, catalog: IcebergCatalog, reader: Reader, tmp_path: Path
) -> None:
    sql = (
        "CREATE SCHEMA raw; CREATE SCHEMA staging; CREATE TABLE raw.kept AS SELECT 1 AS i;"
        "CREATE VIEW raw.shown AS FROM raw.kept; CREATE TABLE staging.s AS SELECT 1 AS i;"
        f"{SOME.format(1)}"
    )
    names = ("raw.shown", "staging.s", TABLE)
    settings = settings_of(s3_server, bucket, catalog.uri)
    on = machines({**settings, "tables": ("serving", "raw")}, tmp_path)
    assert [table.name for table in run(on("one"), "1", sql, *names)] == list(names)

    assert set(reader.published()) == {"raw.kept", TABLE}
    assert {name for name in catalog.tables if name[0] == "staging"} == set()


def test_two_pipelines_share_a_catalog_with_different_prefixes(
    s3_server: S3Server, catalog: IcebergCatalog, tmp_path: Path
) -> None:
    for name in ("coffee_", "tea_"):
        settings = settings_of(s3_server, s3_server.new_bucket(), catalog.uri)
        on = machines({**settings, "namespace_prefix": name}, tmp_path / name)
        run(on("one"), name, SOME.format(len(name)), TABLE, fingerprint=name)
        assert on("two").fingerprint() == name

    assert catalog.namespaces == {
        *("coffee_publication", "coffee_serving"),
        *("tea_publication", "tea_serving"),
    }


@both_kinds
def test_of_two_runs_from_the_same_state_the_second_changes_nothing(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    run(machine("home"), "0", SOME.format(1), TABLE)
    second = machine("two")
    late = build(second, SOME.format(3))
    run(machine("one"), "1", SOME.format(2), TABLE)
    tables = {name: catalog.metadata(".".join(name)) for name in catalog.tables}
    with pytest.raises(BusyError, match=r"publication.run.* the run '1' has published since"):
        second.publish(PublishRequest(run="2", database=late, tables=(TABLE,), fingerprint="2"))

    assert {name: catalog.metadata(".".join(name)) for name in catalog.tables} == tables
    assert reader.rows(TABLE) == [(0,), (1,)]


def test_a_run_that_is_overtaken_during_its_commit_changes_nothing(
    machine: Machine, catalog: IcebergCatalog, reader: Reader, kind: str
) -> None:
    run(machine("home"), "0", SOME.format(1), TABLE)
    late = Fault(
        method="POST",
        name="commit$" if kind == AT_ONCE else "publication/tables/run$",
        act=lambda: run(machine("other"), "1", SOME.format(2), TABLE),
    )
    with catalog.failing(late), pytest.raises(BusyError, match="run '1' has published since"):
        run(machine("one"), "2", SOME.format(3), TABLE)

    assert late.happened
    assert machine("home").fingerprint() == "1"
    assert reader.rows(TABLE, snapshot=reader.published()[TABLE]) == [(0,), (1,)]


def test_a_compaction_during_a_run_is_not_taken_for_another_run(
    machine: Machine, catalog: IcebergCatalog, reader: Reader, kind: str
) -> None:
    run(machine("home"), "0", SOME.format(1), TABLE)
    catalog.compact("publication.run")
    assert machine("two").fingerprint() == "0"
    late = Fault(
        method="POST",
        name="commit$" if kind == AT_ONCE else "serving/tables/prices$",
        act=lambda: catalog.compact(TABLE),
    )
    with catalog.failing(late):
        run(machine("one"), "1", SOME.format(3), TABLE)

    assert catalog.conflicts == 1
    assert machine("two").fingerprint() == "1"
    assert reader.rows(TABLE) == [(0,), (1,), (2,)]


def test_a_table_that_another_program_changed_is_written_again(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    run(machine("home"), "0", SOME.format(3), TABLE)
    catalog.compact(TABLE)
    run(machine("home"), "1", SOME.format(3), TABLE)
    assert len(summaries(catalog, TABLE)) == 2, "rows that were only moved are not written again"
    catalog.tables["serving", "prices"]["snapshots"][-1]["summary"]["operation"] = "append"
    run(machine("home"), "2", SOME.format(3), TABLE)

    assert len(summaries(catalog, TABLE)) == 3
    assert reader.rows(TABLE) == [(0,), (1,), (2,)]


def test_local_files_of_a_killed_run_are_removed(machine: Machine, tmp_path: Path) -> None:
    sink = machine("one")
    left = build(sink, SOME.format(1)).parent / "publish.left"
    left.mkdir()
    (left / "serving.prices.parquet").write_bytes(b"half of it")
    run(sink, "1", SOME.format(1), TABLE)

    assert not list(tmp_path.rglob("publish.*"))


def test_a_namespace_is_created_once_for_all_its_tables(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    sql = "; ".join(f"CREATE TABLE serving.t{at} AS SELECT {at} AS i" for at in range(5))
    run(machine("one"), "1", sql, *(f"serving.t{at}" for at in range(5)))

    assert catalog.requests.count("POST /v1/acme/namespaces") == 2
