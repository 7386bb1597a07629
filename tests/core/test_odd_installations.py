"""Real command lines where something outside of materia.toml is not as it must be."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.workshop import Workshop


def test_a_folder_with_a_question_mark_is_refused_before_anything_is_fetched(
    folders: Workshop, tmp_path: Path
) -> None:
    odd = tmp_path / "why?"
    folders.directory.rename(odd)
    folders.directory = odd
    ended = folders.run("run")

    assert ended.returncode == 2
    assert ended.stderr == (
        f"materia: {odd}: DuckDB cannot use a path with a question mark (?); rename the folder, "
        "or use another one\n"
    )
    assert not (odd / ".materia").exists()


def test_a_published_file_with_a_question_mark_is_refused_by_its_setting(
    workshop: Workshop,
) -> None:
    workshop.write("materia.toml", '[sinks.duckdb]\npath = "what?.duckdb"\n')
    ended = workshop.run("sinks")

    assert ended.returncode == 2
    assert "sinks.duckdb.path must contain no ?" in ended.stderr


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('path = "raw"', "sinks.duckdb.path must name a file, is the folder "),
        ('raw = "materia.toml"', "sinks.duckdb.raw must name a folder, is the file "),
    ],
)
def test_a_folder_in_place_of_a_file_is_refused_before_anything_is_fetched(
    workshop: Workshop, setting: str, message: str
) -> None:
    (workshop.directory / "raw").mkdir()
    workshop.write("materia.toml", f"[sinks.duckdb]\n{setting}\n")
    ended = workshop.run("run", "--sample")

    assert ended.returncode == 2
    assert message in ended.stderr
    assert list((workshop.directory / "raw").iterdir()) == []


@pytest.mark.parametrize("command", ["run", "plan"])
def test_materia_toml_is_not_blamed_for_a_state_folder_that_cannot_be_made(
    workshop: Workshop, command: str
) -> None:
    workshop.write("materia.toml", "")
    ended = workshop.run(command, environment={"MATERIA_STATE_DIR": "/dev/null/state"})

    assert ended.returncode == 2
    assert ended.stderr.startswith("materia: cannot write to the state folder, /dev/null")
    assert "set MATERIA_STATE_DIR to another one" in ended.stderr


ODD = ("a*b", "[x]", "100% #1; $HOME", "it's", "ü 中")


@pytest.mark.parametrize(
    "name",
    # One folder has them all; the campaign says which of them it was.
    [" ".join(ODD), *(pytest.param(one, marks=pytest.mark.campaign) for one in ODD)],
)
def test_other_odd_folders_work(folders: Workshop, tmp_path: Path, name: str) -> None:
    odd = tmp_path / name
    folders.directory.rename(odd)
    folders.directory = odd

    assert folders.run("run").returncode == 0


def test_a_missing_extra_is_named_and_no_file_is_blamed_for_it(folders: Workshop) -> None:
    folders.module(
        "sitecustomize",
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'sqlmesh' else find(name, *more)\n",
    )
    ended = folders.run("run")

    assert ended.returncode == 2
    assert ended.stderr == (
        "materia: the stage transform needs SQLMesh, which is not installed here; to add it: "
        "`uv sync --inexact`\n"
    )
