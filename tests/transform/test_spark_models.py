"""Each model on a real Spark is that of DuckDB, on the sample; test_spark.py has the whole size."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.spark_parts import JAVA, SMALL, needs_spark
from fakes.workshop import TESTS, Workshop


@pytest.mark.campaign
def test_each_model_has_the_same_rows_and_types_on_spark_as_in_duckdb(
    sample_run: Workshop, tmp_path: Path
) -> None:
    needs_spark()
    shutil.copytree(sample_run.directory / "transform", tmp_path / "transform")
    (tmp_path / "materia.toml").touch()
    settings = [f"--conf {name}={value}" for name, value in SMALL.items()]
    done = subprocess.run(
        [
            *(sys.executable, "-P", TESTS / "fakes/spark_models.py"),
            sample_run.directory / "materia.duckdb",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "JAVA_TOOL_OPTIONS": JAVA,
            "PYSPARK_SUBMIT_ARGS": " ".join([*settings, "pyspark-shell"]),
            "PYTHONPATH": str(TESTS),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])

    assert len(found) >= 33
    assert {name: said for name, said in found.items() if said} == {}
