"""Tables that SQLMesh built on Spark, compared with those it built in DuckDB: rows and types.

    python tests/fakes/spark_tables.py DATABASE [FOLDER]

prints, as JSON, what differs in each table; run it in the project folder's root. *FOLDER* is that
of the gateway, `.materia/spark` unless it is given.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from materia.kit.sql import literal
from materia_sqlmesh.spark import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LAYERS = ("raw", "staging", "cleaned", "serving")
# The loader's own, which models are made of; and what only DuckDB has.
NOT_MODELS = (
    *("psd_value", "psd_value_ended", "psd_stamp", "psd_stamp_ended", "psd_label"),
    *("psd_label_ended", "psd_release", "psd_touched", "psd_by_release"),
    *("psd_forecast", "psd_balance_as_of"),
)
# A table of Iceberg has no shorter integers, and Spark no enumerations; a view keeps its type.
ALIKE = {"TINYINT": {"TINYINT", "INTEGER"}, "SMALLINT": {"SMALLINT", "INTEGER"}}


def differences(database: Path, spark: SparkSession, scratch: Path) -> dict[str, list[str]]:
    """What differs in each model, in words; an empty list where nothing does.

    DOUBLEs are equal when ten digits are: engines sum in an order of their own.
    """
    found = {}
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH {literal(str(database))} AS here (READ_ONLY)")
        tables = connection.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_catalog = 'here' AND table_schema IN $layers "
            "AND table_name NOT IN $others ORDER BY 1",
            {"layers": list(LAYERS), "others": list(NOT_MODELS)},
        ).fetchall()
        for (table,) in tables:
            parquet = scratch / table
            spark.table(table).write.mode("overwrite").parquet(str(parquet))
            there = f"read_parquet({literal(f'{parquet}/*.parquet')})"
            found[table] = list(_differing(connection, f"here.{table}", there))
    return found


def _differing(connection: duckdb.DuckDBPyConnection, here: str, there: str) -> list[str]:
    types, others = (
        {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE FROM {one}").fetchall()}
        for one in (here, there)
    )
    if list(types) != list(others):
        return [f"columns {list(types)} and {list(others)}"]
    said = [
        f"{name} is {kind} and {others[name]}"
        for name, kind in types.items()
        if others[name] not in ALIKE.get(_plain(kind), {_plain(kind)})
    ]
    columns = ", ".join(
        f"printf('%.9e', {name}) AS {name}" if kind == "DOUBLE" else f"{name}::{_plain(kind)}"
        for name, kind in types.items()
    )
    one, other = (f"SELECT {columns} FROM {rows}" for rows in (here, there))
    [[rows, only_here, only_there]] = connection.execute(
        f"SELECT (SELECT count(*) FROM {here}), "
        f"(SELECT count(*) FROM ({one} EXCEPT ALL {other})), "
        f"(SELECT count(*) FROM ({other} EXCEPT ALL {one}))"
    ).fetchall()
    if only_here or only_there:
        said.append(f"of {rows} rows {only_here} are missing in Spark, which has {only_there} more")
    return said


def _plain(kind: str) -> str:
    return re.sub(r"^ENUM.*", "VARCHAR", kind)


if __name__ == "__main__":
    file, *folder = map(Path, sys.argv[1:])
    place = (folder[0] if folder else Path(".materia/spark")).absolute()
    compared = differences(file, spark_session(place), place / "compared")
    print(json.dumps(compared))  # noqa: T201 -- a program that prints what it found
