"""Tables that SQLMesh built on Spark, compared with those it built in DuckDB, row by row.

    python tests/fakes/spark_tables.py DATABASE FOLDER

prints a line a table: how many rows are in one and not in the other. *FOLDER* is `.materia/spark`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from materia.kit.sql import literal
from materia_sqlmesh.spark import spark_session

LAYERS = ("raw", "staging", "cleaned", "serving")
# The loader's own, which models are made of; and what only DuckDB has.
NOT_MODELS = (
    *("psd_value", "psd_value_ended", "psd_stamp", "psd_stamp_ended", "psd_label"),
    *("psd_label_ended", "psd_release", "psd_touched", "psd_by_release"),
    *("psd_forecast", "psd_balance_as_of"),
)


def differing_rows(database: Path, folder: Path) -> dict[str, int]:
    """How many rows of each model are in one and not in the other.

    DOUBLEs are equal when ten digits are: engines sum in an order of their own.
    """
    spark = spark_session(folder)
    found = {}
    with duckdb.connect(str(database), read_only=True) as connection:
        tables = connection.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_schema IN $layers AND table_name NOT IN $others ORDER BY 1",
            {"layers": list(LAYERS), "others": list(NOT_MODELS)},
        ).fetchall()
        for (table,) in tables:
            parquet = folder / "compared" / table
            spark.table(table).write.mode("overwrite").parquet(str(parquet))
            there = f"read_parquet({literal(f'{parquet}/*.parquet')})"
            columns = _columns(connection, table)
            one, other = (f"SELECT {columns} FROM {rows}" for rows in (table, there))
            [found[table]] = connection.execute(
                f"SELECT count(*) FROM (({one} EXCEPT ALL {other}) "
                f"UNION ALL ({other} EXCEPT ALL {one}))"
            ).fetchone() or (-1,)
    return found


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    described = connection.execute(f"DESCRIBE {table}").fetchall()
    return ", ".join(
        f"printf('%.9e', {name}) AS {name}" if kind == "DOUBLE" else f"{name}::{_type(kind)}"
        for name, kind, *_ in described
    )


def _type(kind: str) -> str:
    return "VARCHAR" if kind.startswith("ENUM") else kind


if __name__ == "__main__":
    for name, rows in differing_rows(Path(sys.argv[1]), Path(sys.argv[2]).absolute()).items():
        print(f"{rows:>8}  {name}")  # noqa: T201 -- a program that prints what it found
