"""A database that another version of SQLMesh built: its models are built anew, or a sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from fakes.psd import balances
from fakes.releases import Releases
from materia.errors import ConfigError
from materia_runner.worker.sqlmesh.build import TransformReport
from materia_runner.worker.sqlmesh.state import Versions, drop_other_state, running_versions

ROOT = Path(__file__).parents[2]
Build = Callable[..., TransformReport]

OLDER = "0.230.1"  # with sqlglot 28.10
BUILD = """
import sys
from pathlib import Path
from materia_runner.worker.sqlmesh.build import TransformRequest, transform
database, *projects = map(Path, sys.argv[1:])
print(transform(TransformRequest(database=database, projects=tuple(projects))).models)
"""


def test_a_state_fits_by_the_rule_of_sqlmesh() -> None:
    running = Versions(schema=102, sqlglot="30.8.0", sqlmesh="0.236.4")

    assert running.fits(Versions(schema=102, sqlglot="30.8.9", sqlmesh="0.236.0"))
    for schema, sqlglot, sqlmesh in (
        (101, "30.8.0", "0.236.4"),
        (102, "30.7.0", "0.236.4"),
        (102, "30.8.0", "0.235.4"),
        (102, "9.8.0", "0.236.4"),
    ):
        older = Versions(schema=schema, sqlglot=sqlglot, sqlmesh=sqlmesh)
        assert not running.fits(older)
        assert older.is_older(running)
        assert not running.is_older(older)


@pytest.mark.parametrize(
    "change",
    [
        "sqlglot_version = '30.7.0'",
        pytest.param("sqlglot_version = '20.0.0'", marks=pytest.mark.campaign),
        pytest.param(
            "schema_version = 101, sqlmesh_version = '0.200.0'", marks=pytest.mark.campaign
        ),
    ],
)
def test_what_an_older_version_built_is_built_anew_with_the_next_release(
    releases: Releases,
    build: Build,
    built: TransformReport,
    ask: Callable[[str], list[tuple[object, ...]]],
    change: str,
) -> None:
    with duckdb.connect(str(releases.database)) as connection:
        connection.execute(f"UPDATE sqlmesh._versions SET {change}")
    releases.publish("2025-10", balances("2025-10"))

    second = build()

    assert (second.models, second.audits) == (built.models, built.audits)
    assert second.tables == built.tables
    assert second.warnings[0].startswith("the tables were built with SQLMesh ")
    assert "all models are rebuilt with SQLMesh" in second.warnings[0]
    assert ask("SELECT count(DISTINCT release) FROM staging.stg_psdalldata__release") == [(2,)]
    assert build(affected=()).models == 0


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("change", ["sqlglot_version = '99.1.0'", "schema_version = 999"])
def test_what_a_newer_version_built_is_left_alone_with_a_sentence(
    releases: Releases, build: Build, ask: Callable[[str], list[tuple[object, ...]]], change: str
) -> None:
    with duckdb.connect(str(releases.database)) as connection:
        connection.execute(f"UPDATE sqlmesh._versions SET {change}")

    with pytest.raises(
        ConfigError, match="update materia here, or run where the newer version is installed"
    ):
        build()

    assert ask("SELECT count(*) > 0 FROM serving.fct_balance") == [(True,)]


@pytest.mark.usefixtures("built")
def test_the_raw_layer_stays_when_the_rest_is_dropped(releases: Releases) -> None:
    with duckdb.connect(str(releases.database)) as connection:
        connection.execute("UPDATE sqlmesh._versions SET schema_version = 1")
        raw = connection.execute("SELECT count(*) FROM raw.psd_value").fetchone()

    assert drop_other_state(releases.database, running_versions())
    assert not drop_other_state(releases.database, running_versions())

    with duckdb.connect(str(releases.database)) as connection:
        assert connection.execute("SELECT count(*) FROM raw.psd_value").fetchone() == raw
        left = connection.execute(
            "SELECT schema_name FROM duckdb_schemas() WHERE schema_name LIKE 'sqlmesh%'"
        ).fetchall()
    assert left == []


@pytest.mark.campaign
def test_a_database_that_a_real_older_sqlmesh_built_goes_on(
    releases: Releases, build: Build, projects: tuple[Path, Path], tmp_path: Path
) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    environment = tmp_path / "older"
    python = environment / "bin/python"
    packages = [f"sqlmesh=={OLDER}", "duckdb>=1.5,<2", str(ROOT / "core")]
    for words in (
        ["venv", "--quiet", "--python", sys.executable, str(environment)],
        ["pip", "install", "--quiet", "--python", str(python), *packages],
    ):
        made = subprocess.run([uv, *words], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"an older SQLMesh cannot be installed: {made.stderr.strip()[-200:]}")
    releases.publish("2025-09", balances("2025-09"))
    releases.load()
    done = subprocess.run(
        [str(python), "-c", BUILD, str(releases.database), *map(str, projects)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    releases.publish("2025-10", balances("2025-10"))

    report = build()

    assert report.models == int(done.stdout)
    assert report.warnings[0].startswith(f"the tables were built with SQLMesh {OLDER}")
