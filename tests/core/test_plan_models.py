"""`materia plan` after an edit of models: what SQLMesh would rebuild, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.folder_source import MODELS
from fakes.workshop import Workshop
from materia_runner.cli.output.plan_table import UNCHANGED, changed_lines
from materia_runner.planning.changed_models import ChangedModels
from materia_runner.worker.sqlmesh.planned.model_changes import ModelChanges

OWN = """
MODEL (name serving.fct_sum, kind FULL, columns (total BIGINT));
SELECT sum(value)::BIGINT AS total FROM serving.fct_line
"""
HALF = """
MODEL (name serving.fct_half, kind VIEW, columns (total BIGINT));
SELECT total // 2 AS total FROM serving.fct_sum
"""
CONFIG = MODELS / "config.py"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A pipeline whose own project reads from the model of its source, and ran once."""
    shop = Workshop(tmp_path_factory.mktemp("built"))
    shop.pipe_folders()
    shop.write("own/config.py", CONFIG.read_text())
    shop.write("own/models/fct_sum.sql", OWN)
    shop.write("own/models/fct_half.sql", HALF)
    shop.write(
        "materia.toml",
        'source = "folder"\nsink = "folder"\n[transform]\nproject = "own"\n',
    )
    ended = shop.run("run")
    assert ended.returncode == 0, ended.stderr
    return shop


@pytest.fixture
def edited(built: Workshop, tmp_path: Path) -> Workshop:
    """Such a place of one's own."""
    shop = Workshop(tmp_path)
    shop.install("folder", "fakes.folder")
    shop.take_over(built)
    return shop


def models_of(shop: Workshop, **environment: str) -> Any:
    ended = shop.run("plan", "--json", environment=environment)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["models"]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_plan_of_unchanged_models_imports_no_sqlmesh_and_says_nothing(
    edited: Workshop,
) -> None:
    # These come before the real ones on the path.
    edited.module("sqlmesh", "raise AssertionError('SQLMesh was imported')\n")
    edited.module("duckdb", "raise AssertionError('DuckDB was imported')\n")

    assert models_of(edited) is None


def test_a_plan_shows_what_changed_models_rebuild_and_writes_nothing(edited: Workshop) -> None:
    edited.write("own/models/fct_sum.sql", OWN.replace("sum(value)", "1 + sum(value)"))
    edited.write("own/models/fct_new.sql", HALF.replace("fct_half", "fct_new"))
    before = files_of(edited.directory)

    ended = edited.run("run", "--dry-run")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith(
        "\n\nmodels differ from the published ones; SQLMesh plans for the next run:\n"
        "  Added:\n"
        "    serving.fct_new\n"
        "  Directly Modified:\n"
        "    serving.fct_sum\n"
        "  Indirectly Modified:\n"
        "    serving.fct_half\n"
        "  Models needing backfill:\n"
        "    serving.fct_half: [recreate view]\n"
        "    serving.fct_new: [recreate view]\n"
        "    serving.fct_sum: [full refresh]\n"
    )
    assert files_of(edited.directory) == before
    run = edited.run("run", "--json")
    assert json.loads(run.stdout)["stages"][1]["result"]["models"] == 3, run.stderr
    assert models_of(edited) is None


def test_a_model_with_a_typo_is_named_before_a_run_and_is_exit_code_1(edited: Workshop) -> None:
    edited.write("own/models/fct_sum.sql", OWN.replace("SELECT", "SELEKT"))

    ended = edited.run("plan")

    assert ended.returncode == 1
    assert ended.stdout.startswith("machine 1 for extract and transform")
    assert "fct_sum.sql" in ended.stderr
    assert all(line.strip() for line in ended.stderr.splitlines())
    assert "Traceback" not in ended.stderr


def test_a_database_that_cannot_be_read_is_a_reason_and_no_error(
    edited: Workshop,
) -> None:
    edited.write("own/models/fct_sum.sql", OWN.replace("sum(value)", "2 * sum(value)"))
    (edited.directory / "out/published.duckdb").write_text("no database")

    ended = edited.run("plan")

    assert ended.returncode == 0, ended.stderr
    assert "models: not compared with the published ones: " in ended.stdout
    assert "out/published.duckdb cannot be read: " in ended.stdout


def test_another_file_or_version_without_a_changed_model_is_said_to_rebuild_nothing() -> None:
    assert changed_lines(ChangedModels(changes=ModelChanges())) == [f"models: {UNCHANGED}"]
