"""Build the models on Spark, each by the one statement that SQLMesh has for it; then compare.

    python tests/fakes/spark_models.py DATABASE

runs in a folder that has `transform/sqlmesh_materia`, and prints what `spark_tables` prints. It
reads the raw history from *DATABASE*. Against a plan of SQLMesh it leaves out audits, state and
the tables behind views, which take most of the time.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import duckdb
from fakes.spark_tables import differences
from sqlmesh import Context

PAGE = (Path(__file__).parents[2] / "docs/spark.md").read_text(encoding="utf-8")
RAW = re.findall(r'^    "(psd_\w+)",$', PAGE.partition("Copy the raw")[2], re.MULTILINE)
PERIOD = {"start": "2000-01-01", "end": "2100-01-01"}


def build(database: Path, folder: Path) -> Any:
    """All models on the gateway `spark`; its session."""
    context = Context(paths=["transform/sqlmesh_materia"], gateway="spark")
    adapter = context.engine_adapter
    spark: Any = adapter.spark
    for layer in ("raw", "staging", "cleaned", "serving"):
        spark.sql(f"CREATE NAMESPACE {layer}")
    with duckdb.connect(str(database), read_only=True) as connection:
        for table in dict.fromkeys(RAW):
            parquet = folder / f"{table}.parquet"
            connection.execute(f"COPY raw.{table} TO '{parquet}'")
            spark.sql(f"CREATE TABLE raw.{table} AS SELECT * FROM parquet.`{parquet}`")
    for name in context.dag.sorted:
        model: Any = context.get_model(name)
        if model is None:
            continue
        columns = dict(model.columns_to_types or {})
        make = adapter.create_view if model.kind.is_view else adapter.ctas
        make(model.name, _query(model), columns)
    return spark


def _query(model: Any) -> Any:
    """The rows of a file, or a query."""
    if model.kind.is_seed:
        [rows] = model.render_seed()
        return rows
    return model.render_query_or_raise(**PERIOD)


if __name__ == "__main__":
    scratch = Path("scratch").absolute()
    scratch.mkdir()
    file = Path(sys.argv[1])
    found = differences(file, build(file, scratch), scratch)
    print(json.dumps(found))  # noqa: T201 -- a program that prints what it found
