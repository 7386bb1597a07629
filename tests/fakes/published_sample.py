"""The tables of the sample, published in an Iceberg catalog, and what readers must find there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import duckdb
from fakes.iceberg_runs import Machine
from fakes.workshop import Workshop
from materia.data import PublishRequest

SPARK_PAGE = Path(__file__).resolve().parents[2] / "docs/spark.md"
MONTHS = ("2018-12", "2019-01", "2019-02", "2019-05")  # none was published in January
SMALL = {"TINYINT": "INTEGER", "SMALLINT": "INTEGER"}


def publish_sample(sample: Workshop, machine: Machine, *, raw_only: bool = False) -> list[str]:
    """Publish its tables; their names."""
    with duckdb.connect(str(sample.directory / "materia.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT name FROM publication.tables WHERE NOT starts_with(name, 'raw.') UNION ALL "
            "SELECT 'raw.' || table_name FROM duckdb_tables() WHERE schema_name = 'raw' ORDER BY 1"
        ).fetchall()
    tables = [name for (name,) in rows if name.startswith("raw.") or not raw_only]
    sink = machine("one")
    database = sink.checkout()
    shutil.copyfile(sample.directory / "materia.duckdb", database)
    sink.publish(
        PublishRequest(run="run 1", database=database, tables=tuple(tables), fingerprint="1")
    )
    return tables


def as_of_query(month: str, catalog: str) -> str:
    """The query of docs/spark.md, for another month and for raw tables in a catalog."""
    page = SPARK_PAGE.read_text(encoding="utf-8")
    query: str
    [query] = re.findall(r"^```sql\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return query.replace("2018-12", month).replace("FROM raw.", f"FROM {catalog}.raw.")


def sums(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[str, str]:
    """What to select from a table: its rows, and the count and a checksum of each column.

    Also the answer that the table in DuckDB gives, as a text.
    """
    schema, _, name = table.partition(".")
    columns = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
        [schema, name],
    ).fetchall()
    parts = [
        f'count("{column}"), sum(hash(CAST("{column}" AS {_type(kind)})))'
        for column, kind in columns
    ]
    chosen = f"SELECT [count(*), {', '.join(parts)}]::VARCHAR"
    [[answer]] = connection.execute(f"{chosen} FROM {table}").fetchall()
    return chosen, answer


def _type(kind: str) -> str:
    return "VARCHAR" if kind.startswith("ENUM") else SMALL.get(kind, kind)
