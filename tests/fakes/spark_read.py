"""Reads Iceberg tables with Spark, as people do; one JSON a line, each answered by one.

It runs where pyspark is. The first line has Spark's settings; then come
`{"catalog": "c1", "settings": {"type": "rest"}}` and `{"sql": "SELECT ..."}`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

from fakes.shown import shown
from pyspark.conf import SparkConf
from pyspark.sql import SparkSession


def answer(spark: SparkSession, question: dict[str, Any]) -> list[list[object]]:
    """The rows as texts, in no order; none when a catalog becomes known."""
    if "catalog" in question:
        name = f"spark.sql.catalog.{question['catalog']}"
        spark.conf.set(name, "org.apache.iceberg.spark.SparkCatalog")
        for key, value in question["settings"].items():
            spark.conf.set(f"{name}.{key}", value)
        return []
    return [[shown(value) for value in row] for row in spark.sql(question["sql"]).collect()]


def main(answers: TextIO) -> None:
    """Answer until the input ends."""
    settings = SparkConf().setAll(list(json.loads(sys.stdin.readline()).items()))
    spark = SparkSession.builder.config(conf=settings).getOrCreate()
    for line in sys.stdin:
        try:
            said: dict[str, Any] = {"rows": answer(spark, json.loads(line))}
        except Exception as error:  # noqa: BLE001 -- the test tells of it
            said = {"error": f"{type(error).__name__}: {error}"[:2000]}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    # Spark and Java print what they like: only answers reach the test.
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    main(ours)
