from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import duckdb
import pytest
from fakes.folder_sink import FolderSink
from fakes.folder_source import MODELS, FolderSource
from fakes.workshop import Workshop
from materia.data import LoadReport, LoadRequest
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.worker.transform import build, unserved


def transformed(folders: Workshop, *arguments: str) -> dict[str, Any]:
    ended = folders.run("run", "--json", *arguments)

    assert ended.returncode == 0, ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)["stages"][1]["result"]
    return result


def lines(folders: Workshop) -> list[tuple[object, ...]]:
    database = folders.directory / "out" / "published.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute("from serving.fct_line order by all").fetchall()


def test_the_files_become_published_tables(folders: Workshop) -> None:
    result = transformed(folders)

    assert result["tables"] == [
        {"name": "serving.fct_line", "rows": 3, "description": "all of serving.fct_line"}
    ]
    assert [line[1:] for line in lines(folders)] == [("apples", 1), ("pears", 2), ("apples", 3)]
    assert (result["models"], result["audits"]) == (1, 2)
    assert result["warnings"] == []


def test_with_nothing_new_neither_sqlmesh_nor_duckdb_is_imported(run_folders: Workshop) -> None:
    # These come before the real ones on the path, and would end the stage.
    run_folders.module("sqlmesh", "raise AssertionError('SQLMesh was imported')\n")
    run_folders.module("duckdb", "raise AssertionError('DuckDB was imported')\n")

    result = transformed(run_folders)

    assert result == {"published": False, "files": 2, "tables": [], "others": []}


def test_a_new_file_and_a_changed_file_are_built(run_folders: Workshop) -> None:
    run_folders.write("in/2024-02.csv", "apples,30\n")
    run_folders.write("in/2024-03.csv", "apples,4\n")

    transformed(run_folders)

    assert [line[2] for line in lines(run_folders)] == [1, 2, 30, 4]


def test_a_refused_file_leaves_the_others_to_be_published(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#load-refuse a key comes twice\n")

    ended = folders.run("run")

    assert ended.returncode == 1
    assert ended.stderr.startswith("materia: 1 partition of folder could not be used;")
    assert ended.stderr.rstrip().endswith("2024-03.csv: a key comes twice")
    assert len(lines(folders)) == 3
    again = folders.run("run")
    assert again.returncode == 0
    assert "nothing new" in again.stdout
    assert again.stderr.startswith("warning: 2024-03 is still in quarantine")
    assert again.stderr.count("2024-03.csv") == 1, "the address is said once"


def test_a_partition_that_the_sink_forgot_is_not_taken_out_of_what_is_published(
    run_folders: Workshop,
) -> None:
    file = run_folders.directory / "out" / "folder.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({key: one for key, one in known.items() if key != "2024-02"}))
    for _ in range(2):  # the working copy that has lost it is not gone on with
        ended = run_folders.run("pipeline", "run", "transform")

        assert ended.returncode == 1
        assert (
            "the published tables contain 2024-02 of folder, but the sink has no raw"
            in ended.stderr
        )
        assert "If another pipeline published there, set another place" in ended.stderr
        assert len(lines(run_folders)) == 3
    file.write_text(json.dumps(known))
    run_folders.write("in/2024-03.csv", "apples,4\n")

    transformed(run_folders)

    assert len(lines(run_folders)) == 4


def test_a_failed_audit_publishes_nothing_and_names_itself(run_folders: Workshop) -> None:
    run_folders.write("in/2024-02.csv", "apples,-1\n")

    ended = run_folders.run("run")

    assert ended.returncode == 1
    assert "accepted_range" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [line[2] for line in lines(run_folders)] == [1, 2, 3]


def test_without_files_the_stage_says_what_to_run_first(folders: Workshop) -> None:
    ended = folders.run("pipeline", "run", "transform")

    assert ended.returncode == 1
    assert ended.stderr == (
        "materia: no files of folder to transform: none was fetched yet; run `materia run`\n"
    )


def test_a_busy_sink_has_an_exit_code_of_its_own(folders: Workshop) -> None:
    folders.write("out/held", "")

    ended = folders.run("run")

    assert ended.returncode == 5
    assert ended.stderr == "materia: the folder is held by process 4711\n"


def test_a_second_stage_is_not_started_after_a_failed_one(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#die at once\n")

    ended = folders.run("run")

    assert ended.returncode == 1
    assert not (folders.directory / "out" / "stamp").exists()


def test_the_summary_ends_with_a_command_that_shows_the_data(folders: Workshop) -> None:
    ended = folders.run("run")
    last = ended.stdout.rstrip().splitlines()[-1]
    looked = subprocess.run(
        shlex.split(last), cwd=folders.directory, capture_output=True, text=True, check=True
    )

    assert ended.stdout.splitlines()[-2] == "Look at it:"
    assert "pears" in looked.stdout


def test_the_sample_is_replaced_by_the_real_files(folders: Workshop) -> None:
    for path in (folders.directory / "in").iterdir():
        path.rename(folders.directory / path.name)
    sample = folders.run("run", "--sample")
    assert sample.returncode == 0, sample.stderr
    assert "This was sample data." in sample.stdout
    folders.write("in/2025-01.csv", "plums,7\n")

    transformed(folders)

    assert [line[1:] for line in lines(folders)] == [("plums", 7)]


def test_the_sample_never_mixes_with_real_files(run_folders: Workshop) -> None:
    for stage in (["run"], ["pipeline", "run", "transform"]):
        ended = run_folders.run(*stage, "--sample")

        assert ended.returncode == 1
        assert ended.stderr.startswith("materia: the sink 'folder' already has real files of")
        assert "in another folder" in ended.stderr


def test_every_relative_path_starts_at_the_file(run_folders: Workshop) -> None:
    ended = run_folders.run("run", "--config", str(run_folders.directory / "materia.toml"))

    assert ended.returncode == 0, ended.stderr
    elsewhere = run_folders.directory / "deep" / "er"
    elsewhere.mkdir(parents=True)
    again = subprocess.run(
        run_folders.command("run"),
        cwd=elsewhere,
        env=run_folders.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "nothing new" in again.stdout
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("project", "tables", "warns"),
    [
        (None, ["raw.lines", "staging.stg_line"], True),
        (None, ["raw.lines", "serving.fct_line"], False),
        (Path("transform"), ["raw.lines"], False),
    ],
)
def test_a_run_without_a_transform_project_says_that_nothing_is_served(
    project: Path | None, tables: list[str], *, warns: bool
) -> None:
    request = WorkerRequest(
        run="run",
        stage="transform",
        pipeline="folder",
        sources=("folder",),
        sink="folder",
        settings={},
        secrets={},
        directory=Path("/data/wheat"),
        workspace=Path("/tmp"),  # noqa: S108 -- nothing is written
        project=project,
    )

    said = unserved(request, tables)

    assert bool(said) is warns
    assert all("materia-transform" not in sentence for sentence in said)
    assert all(
        "no SQLMesh project: materia builds only the tables of folder itself" in sentence
        for sentence in said
    )

    ours = unserved(replace(request, sources=("psdonline",)), tables)
    assert all("install materia-transform, or set transform.project" in one for one in ours)


class Edited(FolderSource):
    """A source whose model a person edits while its files are loaded."""

    def __init__(self, folder: Path, models: Path, *, edit: str) -> None:
        super().__init__(folder)
        self._models = models
        self._edit = edit

    def models(self) -> Path | None:
        return self._models

    def load(self, request: LoadRequest, /) -> LoadReport:
        report = super().load(request)
        if self._edit:
            model = self._models / "models/fct_line.sql"
            model.write_text(model.read_text().replace("value::INTEGER", self._edit))
        return report


def test_a_model_that_was_edited_during_the_run_and_back_is_built_again(
    run_folders: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQLMESH_HOME", str(tmp_path / "sqlmesh"))
    with catch_warnings(action="ignore"):  # those of SQLMesh's libraries, on their import
        import_module("sqlmesh")
    shutil.copytree(MODELS, tmp_path / "models")
    sink = FolderSink(run_folders.directory / "out")

    def built(edit: str) -> object:
        source = Edited(run_folders.directory / "in", tmp_path / "models", edit=edit)
        request = WorkerRequest(
            run=f"run {edit}",
            stage="transform",
            pipeline="folder",
            sources=("folder",),
            sink="folder",
            settings={},
            secrets={},
            directory=run_folders.directory,
            workspace=tmp_path,
        )
        return build({"folder": source}, sink, request, lambda _: None, versions={"folder": "1"})[
            "published"
        ]

    assert built("10 * value::INTEGER")
    before = MODELS / "models/fct_line.sql"
    shutil.copy(before, tmp_path / "models/models")

    assert built("")
    assert [line[2] for line in lines(run_folders)] == [1, 2, 3]
    assert not built("")
