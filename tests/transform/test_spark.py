"""docs/spark.md, run from top to bottom: the models on a real Spark are those of DuckDB."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from materia_psdonline import SAMPLE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/spark.md").read_text()
BLOCKS = re.findall(r"^```(console|python|sql)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
AS_OF = """
import sys
from pathlib import Path
import duckdb
from materia_sqlmesh.spark import spark_session
spark = spark_session(Path(".materia/spark"))
for month in ("2018-12", "2019-01", "2019-02", "2019-05"):
    with duckdb.connect("materia.duckdb", read_only=True) as connection:
        expected = connection.execute(f"FROM as_of('{month}')").fetchall()
    found = [tuple(row) for row in spark.sql(sys.argv[1].replace("2018-12", month)).collect()]
    assert len(found) > 100
    assert sorted(found, key=repr) == sorted(expected, key=repr), month
"""
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(not find_spec("pyspark"), reason="needs `uv sync --group spark`"),
    pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java 17"),
]


class Clone:
    """A folder in which the blocks of the page run, with the project where a clone has it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(
            ROOT / "transform/sqlmesh_materia",
            directory / "transform/sqlmesh_materia",
            ignore=shutil.ignore_patterns(".cache", "logs", "__pycache__", "*.duckdb*"),
        )
        (directory / "materia.toml").write_text(
            '[sources.psdonline]\nbase_url = "mirror"\nfirst_release = "2018-12"\n'
        )

    def publish(self, *months: str) -> None:
        for month in months:
            folder = month.replace("-", "/")
            shutil.copytree(SAMPLE / folder, self.directory / "mirror" / folder)
        self.run("materia", "run")

    def run(self, program: str, *arguments: str, folder: str = "") -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name(program)), *arguments],
            cwd=self.directory / folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def sqlmesh(self, block: str) -> None:
        *_, command = block.splitlines()
        words = shlex.split(command.removeprefix("$ uv run --group spark "))
        self.run(*words, folder="transform/sqlmesh_materia")

    def differences(self) -> dict[str, int]:
        program = ROOT / "tests/fakes/spark_tables.py"
        printed = self.run("python", str(program), "materia.duckdb", ".materia/spark")
        return {name: int(rows) for rows, name in map(str.split, printed.splitlines())}


def test_the_page_builds_the_tables_of_duckdb_and_after_a_new_release_again(tmp_path: Path) -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds == ["console", "python", "console", "python", "console", "sql"]
    _, bring, plan, ask, restate, as_of = [text for _, text in BLOCKS]
    clone = Clone(tmp_path)
    clone.publish("2018-12", "2019-02")
    clone.run("python", "-c", bring)
    clone.sqlmesh(plan)
    shown = clone.run("python", "-c", ask)
    clone.publish("2019-05")
    clone.run("python", "-c", bring)
    clone.sqlmesh(restate)
    found = clone.differences()

    assert "United States" in shown
    assert len(found) >= 20
    assert set(found.values()) == {0}, found
    clone.run("python", "-c", AS_OF, as_of)
