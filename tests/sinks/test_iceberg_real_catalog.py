"""The sink with Apache's own Iceberg REST catalog, which answers like the fake catalog."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.apache_catalog import ApacheCatalog
from fakes.iceberg_catalog import TOKEN, IcebergCatalog
from fakes.iceberg_readers import ENGINES, Readers
from fakes.iceberg_runs import Reader, build, machines, run, settings_of
from fakes.s3 import S3Server
from materia.data import PublishRequest
from materia.errors import BusyError

TABLE = "serving.prices"
SOME = (
    "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS i, 'x' || range AS s FROM range({})"
)
COMMENTS = (
    "COMMENT ON TABLE serving.prices IS 'Prices.';"
    "COMMENT ON COLUMN serving.prices.i IS 'Which one.'"
)
OTHER = "CREATE OR REPLACE TABLE serving.other AS SELECT {} AS j"
pytestmark = pytest.mark.slow


@pytest.fixture
def apache(s3_server: S3Server, bucket: str, tmp_path: Path) -> Iterator[ApacheCatalog]:
    found = ApacheCatalog(s3_server, bucket, tmp_path)
    yield found
    found.close()


def some_runs(store: S3Server, uri: str, folder: Path, warehouse: str) -> None:
    """Runs: first tables; another column, another type, a dropped table; nothing new."""
    on = machines(settings_of(store, store.new_bucket(), uri, warehouse), folder)
    both = f"{SOME.format(3)}; {COMMENTS}; {OTHER.format(1)}"
    run(on("one"), "1", both, TABLE, "serving.other")
    wider = "CREATE OR REPLACE TABLE serving.prices AS SELECT range::VARCHAR AS i, 1.5 AS new"
    run(on("two"), "2", f"{wider} FROM range(4); DROP TABLE serving.other", TABLE)
    run(on("one"), "3", f"{wider} FROM range(4)", TABLE)
    assert on("three").fingerprint() == "3"


def told(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata that must be equal in two catalogs: all except names, places and times."""
    fields = [
        [(one["id"], one["name"], one["type"], one.get("doc")) for one in schema["fields"]]
        for schema in metadata["schemas"]
    ]
    chosen = {
        "materia.run",
        "materia.fingerprint",
        "operation",
        "total-records",
        "total-data-files",
    }
    return {
        "schemas": fields,
        "current": metadata["current-schema-id"],
        "last": metadata["last-column-id"],
        "sequence": metadata["last-sequence-number"],
        "comment": metadata["properties"].get("comment"),
        "snapshots": [
            {key: one["summary"][key] for key in chosen} | {"schema": one["schema-id"]}
            for one in metadata["snapshots"]
        ],
        "head": [one["snapshot-id"] for one in metadata["snapshots"]].index(
            metadata["current-snapshot-id"]
        ),
        "format": metadata["format-version"],
    }


def test_the_same_runs_give_the_same_metadata_in_both(
    s3_server: S3Server, apache: ApacheCatalog, catalog: IcebergCatalog, tmp_path: Path
) -> None:
    some_runs(s3_server, apache.uri, tmp_path / "apache", "")
    some_runs(s3_server, catalog.uri, tmp_path / "ours", "lake")

    for name in (TABLE, "publication.run"):
        assert told(apache.metadata(name)) == told(catalog.metadata(name)), name
    assert apache.tables("serving") == ["prices"]


def statuses(uri: str, prefix: str, state: dict[str, Any]) -> list[int]:
    """The status codes of valid and invalid requests.

    Not for a table in a missing namespace: the specification refuses it, but JdbcCatalog does not.
    """
    base = f"{uri}/v1{prefix}"
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:

        def post(path: str, body: object) -> int:
            return client.post(f"{base}{path}", json=body).status_code

        def commit(requirement: dict[str, object], table: str = "prices") -> int:
            identifier = {"namespace": ["serving"], "name": table}
            change = {
                "identifier": identifier,
                "requirements": [requirement],
                "updates": [{"action": "set-properties", "updates": {"a": "b"}}],
            }
            return post("/transactions/commit", {"table-changes": [change]})

        head = state["current-snapshot-id"]
        main = {"type": "assert-ref-snapshot-id", "ref": "main"}
        schema = {"type": "struct", "schema-id": 0, "fields": []}
        return [
            client.get(f"{base}/namespaces/serving/tables/nothing").status_code,
            client.get(f"{base}/namespaces/nothing/tables/nothing").status_code,
            client.get(f"{base}/namespaces/serving/tables").status_code,
            client.get(f"{base}/namespaces/nothing/tables").status_code,
            post("/namespaces", {"namespace": ["serving"], "properties": {}}),
            post("/namespaces/serving/tables", {"name": "prices", "schema": schema}),
            commit(main | {"snapshot-id": head}),
            commit(main | {"snapshot-id": 7}),
            commit(main | {"snapshot-id": None}),
            commit({"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}),
            commit({"type": "assert-current-schema-id", "current-schema-id": 9}),
            commit({"type": "assert-last-assigned-field-id", "last-assigned-field-id": 99}),
            commit(main | {"snapshot-id": head}, table="nothing"),
            client.delete(f"{base}/namespaces/serving/tables/nothing").status_code,
            client.delete(f"{base}/namespaces/serving/tables/prices").status_code,
        ]


def test_both_answer_valid_and_invalid_requests_alike(
    s3_server: S3Server, apache: ApacheCatalog, catalog: IcebergCatalog, tmp_path: Path
) -> None:
    for uri, warehouse in ((apache.uri, ""), (catalog.uri, "lake")):
        settings = settings_of(s3_server, s3_server.new_bucket(), uri, warehouse)
        run(machines(settings, tmp_path / warehouse)("one"), "1", SOME.format(1), TABLE)
    theirs = statuses(apache.uri, "", apache.metadata(TABLE))
    ours = statuses(catalog.uri, "/acme", catalog.metadata(TABLE))

    assert ours == theirs
    assert {200, 204} & set(theirs)
    assert {404, 409} <= set(theirs)


def test_readers_find_the_published_tables(
    s3_server: S3Server, bucket: str, apache: ApacheCatalog, tmp_path: Path
) -> None:
    on = machines(settings_of(s3_server, bucket, apache.uri, ""), tmp_path / "machines")
    run(on("one"), "1", f"{SOME.format(3)}; {COMMENTS}", TABLE)
    first = apache.metadata(TABLE)["current-snapshot-id"]
    run(on("one"), "2", SOME.format(5), TABLE)
    readers = Readers(s3_server, apache.uri, warehouse="")
    try:
        for engine in ENGINES:
            assert len(readers.rows(engine, TABLE)) == 5
            assert len(readers.rows(engine, TABLE, snapshot=first)) == 3
            assert readers.rows(engine, TABLE, only="s = 'x4'") == [["4", "x4"]]
    finally:
        readers.close()


def test_of_two_parallel_runs_one_publishes_and_the_other_changes_nothing(
    s3_server: S3Server, bucket: str, apache: ApacheCatalog, tmp_path: Path
) -> None:
    on = machines(settings_of(s3_server, bucket, apache.uri, ""), tmp_path / "machines")
    reader = Reader(s3_server, apache.metadata)
    run(on("home"), "0", SOME.format(1), TABLE)
    second = on("two")
    late = build(second, SOME.format(3))
    run(on("one"), "1", SOME.format(2), TABLE)
    before = apache.metadata(TABLE)
    with pytest.raises(BusyError, match="the run '1' has published since"):
        second.publish(PublishRequest(run="2", database=late, tables=(TABLE,), fingerprint="2"))

    assert apache.metadata(TABLE) == before
    assert reader.rows(TABLE, "SELECT i FROM it") == [(0,), (1,)]
