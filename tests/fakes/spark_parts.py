"""What tests with a Spark need; without it, pytest skips them."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

CLASS_PATH = Path(__file__).resolve().parents[1] / "iceberg_readers" / "target" / "classpath.txt"
# It runs for a few tests only: the quick compiler, and one thread that collects garbage.
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Tables are small: what makes large ones fast takes longer to begin than they take to read.
SMALL = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.iceberg.vectorization.enabled": "false",
}


def needs_spark() -> None:
    """Skip the test where Spark cannot run."""
    if find_spec("pyspark") is None:
        pytest.skip("no pyspark here: `make iceberg-parts` gets it")
    if shutil.which("java") is None:
        pytest.skip("no Java here: Spark needs version 17")
    if not CLASS_PATH.exists() or not all(Path(jar).exists() for jar in jars()):
        pytest.skip("no jars of Iceberg for Spark here: `make iceberg-parts` gets them, with Maven")


def jars() -> list[str]:
    """The jars of docs/spark.md, on this machine."""
    return CLASS_PATH.read_text(encoding="utf-8").strip().split(":")
