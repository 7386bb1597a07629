"""docs/spark.md, run from top to bottom: the models on a real Spark are those of DuckDB.

From the sample, and at full size over raw tables that the sink iceberg has published.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.apache_catalog import ApacheCatalog
from fakes.s3 import KEY, SECRET, S3Server
from fakes.spark_parts import needs_spark
from materia_psdonline import SAMPLE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/spark.md").read_text()
BLOCKS = re.findall(
    r"^```(console|python|properties|sql)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
)
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
OF_LAKE = ("properties", "python")
RELEASES = 10  # of 2.06 million rows each; the tenth brings a new market year
pytestmark = pytest.mark.campaign


@pytest.fixture(autouse=True)
def _spark() -> None:
    needs_spark()


class Clone:
    """A folder in which the blocks of the page run, with the project where a clone has it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.variables: dict[str, str] = {}
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
            env={**os.environ, **self.variables},
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

    def differences(self, database: Path | str = "materia.duckdb") -> dict[str, list[str]]:
        """What differs in which table; also asserts that all of them are compared."""
        printed = self.run("python", str(ROOT / "tests/fakes/spark_tables.py"), str(database))
        found: dict[str, list[str]] = json.loads(printed.splitlines()[-1])
        assert len(found) >= 33
        return {name: said for name, said in found.items() if said}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    (tmp_path / "clone").mkdir()
    return Clone(tmp_path / "clone")


@pytest.fixture
def store() -> Iterator[S3Server]:
    found = S3Server()
    yield found
    found.close()


@pytest.fixture
def apache(store: S3Server, tmp_path: Path) -> Iterator[ApacheCatalog]:
    found = ApacheCatalog(store, store.new_bucket(), tmp_path)
    yield found
    found.close()


def test_the_page_builds_the_tables_of_duckdb_and_after_a_new_release_again(clone: Clone) -> None:
    _, bring, plan, ask, restate, _, _, as_of = [text for _, text in BLOCKS]
    clone.publish("2018-12", "2019-02")
    clone.run("python", "-c", bring)
    clone.sqlmesh(plan)
    shown = clone.run("python", "-c", ask)
    clone.publish("2019-05")
    clone.run("python", "-c", bring)
    clone.sqlmesh(restate)

    assert "United States" in shown
    assert clone.differences() == {}
    clone.run("python", "-c", AS_OF, as_of)


def test_all_models_over_the_published_raw_tables_equal_those_of_duckdb_at_full_size(
    clone: Clone, store: S3Server, apache: ApacheCatalog, tmp_path: Path
) -> None:
    pytest.importorskip("materia_iceberg", reason="needs `uv sync --group iceberg`")
    from fakes.iceberg_runs import SECRETS, settings_of

    mirror = ROOT / "benchmarks/mirror.py"
    arguments = ("--releases", str(RELEASES), "--usda-codes")
    clone.run("python", str(mirror), str(clone.directory / "mirror"), *arguments)
    settings = settings_of(store, store.new_bucket(), apache.uri)
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (clone.directory / "materia.toml").write_text(
        'sink = "iceberg"\n[sources.psdonline]\nbase_url = "mirror"\nfirst_release = "2006-08"\n'
        f"[sinks.iceberg]\n{lines}"
    )
    clone.variables = {**SECRETS, "SPARK_CONF_DIR": str(tmp_path)}
    result = json.loads(clone.run("materia", "run", "--json"))["stages"][1]["result"]
    [configuration], [*_, views] = (
        [text for one, text in BLOCKS if one == kind] for kind in OF_LAKE
    )
    (tmp_path / "srv").mkdir()
    (tmp_path / "spark-defaults.conf").write_text(
        configuration.replace("/srv/spark", str(tmp_path / "srv"))
        .replace("https://catalog.cloudflarestorage.com/ACCOUNT/BUCKET", apache.uri)
        .replace("ACCOUNT_BUCKET", "lake")
        # Apache's catalog vends no credentials.
        + f"spark.sql.catalog.lake.s3.endpoint {store.endpoint}\n"
        "spark.sql.catalog.lake.s3.path-style-access true\n"
        f"spark.sql.catalog.lake.s3.access-key-id {KEY}\n"
        f"spark.sql.catalog.lake.s3.secret-access-key {SECRET}\n"
        "spark.sql.catalog.lake.client.region us-east-1\n"
    )
    clone.run("python", "-c", views)
    clone.sqlmesh(next(text for _, text in BLOCKS if "plan --auto-apply" in text))
    rows = {table["name"]: table["rows"] for table in result["tables"]}

    assert rows["raw.psd_current"] > 2_000_000
    assert {name for name, count in rows.items() if not count} <= {"raw.psd_area_breakdown"}
    assert clone.differences(result["database"]) == {}
