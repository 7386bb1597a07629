"""The sample run with the sink `iceberg`: readers find the same tables as in DuckDB."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fakes.iceberg_catalog import IcebergCatalog
from fakes.iceberg_runs import SECRETS, Reader, settings_of
from fakes.s3 import S3Server
from fakes.workshop import Workshop

PROJECT = Path(__file__).resolve().parents[2] / "transform" / "sqlmesh_materia"


@pytest.fixture
def job(workshop: Workshop, s3_server: S3Server, bucket: str, catalog: IcebergCatalog) -> Workshop:
    settings = settings_of(s3_server, bucket, catalog.uri)
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    workshop.write(
        "materia.toml",
        f'sink = "iceberg"\n[transform]\nproject = "{PROJECT}"\n[sinks.iceberg]\n{lines}',
    )
    return workshop


def sums(name: str, columns: list[tuple[str, str]]) -> str:
    """A query for the number of rows, and for the count and a checksum of each column."""
    parts = ", ".join(
        f'count("{column}"), sum(hash(CAST("{column}" AS {_as(kind)})))' for column, kind in columns
    )
    return f"SELECT count(*), {parts} FROM {name}"


def _as(kind: str) -> str:
    small = {"TINYINT": "INTEGER", "SMALLINT": "INTEGER"}
    return small.get(kind, "VARCHAR" if kind.startswith("ENUM") else kind)


@pytest.mark.campaign
def test_the_sample_is_the_same_in_the_catalog_and_in_duckdb_and_not_published_twice(
    job: Workshop, catalog: IcebergCatalog, reader: Reader
) -> None:
    first = job.run("run", "--sample", "--json", environment=SECRETS)
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)["stages"][1]["result"]
    written = len(catalog.requests)
    second = job.run("run", "--sample", "--json", environment=SECRETS)
    published = reader.published()

    assert not json.loads(second.stdout)["stages"][1]["result"]["published"]
    assert not [one for one in catalog.requests[written:] if not one.startswith("GET")]
    finished = {table["name"] for table in result["tables"] if not table["name"].startswith("raw.")}
    assert {name for name in published if not name.startswith("raw.")} == finished
    with duckdb.connect(result["database"], read_only=True) as connection:
        for name in published:
            schema, _, table = name.partition(".")
            columns: list[Any] = connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() "
                f"WHERE schema_name = '{schema}' AND table_name = '{table}' ORDER BY column_index"
            ).fetchall()
            expected = connection.execute(sums(name, columns)).fetchall()
            found = reader.rows(name, sums("it", columns))
            assert (found or [(0,)])[0] == (expected[0] if expected[0][0] else (0,)), name
    for secret in SECRETS.values():
        assert secret not in first.stdout + first.stderr + second.stdout
    kept = [path.read_bytes() for path in job.home.rglob("*") if path.is_file()]
    assert not [1 for text in kept for secret in SECRETS.values() if secret.encode() in text]
