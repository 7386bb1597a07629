"""The gateway `spark` and the query of docs/spark.md, as far as they go without a Spark."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.portable import only_duckdb
from fakes.releases import Releases
from materia_psdonline import SAMPLE

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "transform/sqlmesh_materia"
PAGE = (ROOT / "docs/spark.md").read_text()
[AS_OF] = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SQLMESH = "from sqlmesh.cli.main import cli; cli()"
ABSENT = "import sys; sys.modules['pyspark'] = None; "

Ask = Callable[[str], list[tuple[object, ...]]]


def sqlmesh(
    program: str, *arguments: str, folder: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    variables = {
        "MATERIA_DATABASE": str(folder / "materia.duckdb"),
        "MATERIA_DEV_DATABASE": str(folder / "dev.duckdb"),
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", program, "--log-file-dir", str(folder / "logs"), *arguments],
        cwd=PROJECT,
        env={**os.environ, **variables, **more},
        text=True,
        capture_output=True,
        check=False,
    )


def test_other_gateways_do_not_even_import_pyspark(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/pyspark.py").write_text("raise SystemExit('pyspark is imported')\n")

    done = sqlmesh(SQLMESH, "info", folder=tmp_path, PYTHONPATH=str(tmp_path / "site"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Models: " in done.stdout


def test_the_gateway_spark_says_how_to_get_pyspark(tmp_path: Path) -> None:
    done = sqlmesh(ABSENT + SQLMESH, "--gateway", "spark", "info", folder=tmp_path)

    assert done.returncode == 1
    assert "uv run --group spark sqlmesh --gateway spark" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("month", ["2018-12", "2019-01", "2019-02", "2019-05"])
def test_the_query_of_the_page_gives_what_as_of_gives(
    month: str, releases: Releases, ask: Ask
) -> None:
    for path in SAMPLE.glob("20*/*/*.zip"):
        releases.keep("-".join(path.parts[-3:-1]), path.read_bytes(), path.name)
    releases.load()
    query = AS_OF.replace("2018-12", month)

    found = ask(f"FROM ({query}) ORDER BY ALL")

    assert len(found) > 100
    assert found == ask(f"FROM as_of('{month}') ORDER BY ALL")


def test_the_page_has_the_blocks_that_a_campaign_runs_in_this_order() -> None:
    kinds = re.findall(r"^```(console|python|properties|sql)$", PAGE, re.MULTILINE)

    assert kinds == [*("console", "python") * 2, "console", "properties", "python", "sql"]


def test_the_query_of_the_page_has_nothing_that_only_duckdb_knows() -> None:
    assert only_duckdb(AS_OF) == []
