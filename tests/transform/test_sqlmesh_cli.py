"""The projects under SQLMesh's own command line, as an analyst runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.psd import balances
from fakes.releases import Releases
from materia_runner.worker.sqlmesh.build import TransformRequest, transform

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "workspace": ROOT / "transform/sqlmesh_materia",
    "source": ROOT / "plugins/sources/psdonline/src/materia_psdonline/models",
}


def sqlmesh(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("sqlmesh")),
            *("--log-file-dir", variables.pop("logs"), *arguments),
        ],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **variables},
        text=True,
        capture_output=True,
        check=False,
    )


# Each first build runs those of the workspace.
@pytest.mark.parametrize("folder", of_each_kind(FOLDERS.values(), FOLDERS["source"]), ids=FOLDERS)
def test_unit_tests_pass(folder: Path, tmp_path: Path) -> None:
    done = sqlmesh(folder, "test", logs=str(tmp_path))

    assert "Successfully Ran" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
def test_files_are_formatted(folder: Path, tmp_path: Path) -> None:
    done = sqlmesh(folder, "format", "--check", logs=str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("built")
def test_a_plan_finds_nothing_to_do_after_a_run_and_dev_is_a_copy(
    releases: Releases, tmp_path: Path
) -> None:
    published = releases.database.read_bytes()
    variables = {
        "MATERIA_DATABASE": str(releases.database),
        "MATERIA_DEV_DATABASE": str(tmp_path / "dev.duckdb"),
        "logs": str(tmp_path / "logs"),
    }
    for gateway in ("prod", "dev"):  # dev is made from prod when it is first used
        plan = ("--gateway", gateway, "plan", "--no-prompts", "--auto-apply", "--skip-tests")
        done = sqlmesh(FOLDERS["workspace"], *plan, **variables)
        assert "No changes to plan" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "dev.duckdb").exists()
    done = sqlmesh(FOLDERS["workspace"], "--gateway", "prod", "audit", **variables)
    assert "Finished with 0 audit errors" in done.stdout, done.stdout + done.stderr
    assert releases.database.read_bytes() == published


@pytest.mark.campaign
def test_a_plan_finds_nothing_to_do_after_a_first_build_without_sqlmesh(
    releases: Releases, tmp_path: Path
) -> None:
    releases.publish("2025-09", balances("2025-09"))
    report = transform(
        TransformRequest(
            database=releases.database,
            projects=(FOLDERS["source"], FOLDERS["workspace"]),
            affected=releases.load().affected,
        )
    )
    assert "as shipped" in report.skipped
    published = releases.database.read_bytes()
    variables = {"MATERIA_DATABASE": str(releases.database), "logs": str(tmp_path / "logs")}

    plan = ("--gateway", "prod", "plan", "--no-prompts", "--auto-apply", "--skip-tests")
    planned = sqlmesh(FOLDERS["workspace"], *plan, **variables)
    audited = sqlmesh(FOLDERS["workspace"], "--gateway", "prod", "audit", **variables)

    assert "No changes to plan" in planned.stdout, planned.stdout + planned.stderr
    assert "Finished with 0 audit errors" in audited.stdout, audited.stdout + audited.stderr
    assert releases.database.read_bytes() == published


@pytest.mark.parametrize("command", ["info", pytest.param("test", marks=pytest.mark.campaign)])
def test_before_the_first_run_dev_is_empty_and_leaves_no_file(tmp_path: Path, command: str) -> None:
    done = sqlmesh(
        FOLDERS["workspace"],
        command,
        MATERIA_DATABASE=str(tmp_path / "materia.duckdb"),
        MATERIA_DEV_DATABASE=str(tmp_path / "dev.duckdb"),
        logs=str(tmp_path / "logs"),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Run `materia run` once to create it" in " ".join(done.stdout.split())
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
