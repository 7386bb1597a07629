"""A sink in a folder publishes files of its own format, one folder for each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from materia.data import Table
from materia.errors import SinkError
from materia_store.folder.sink import FolderSink
from materia_testing.contracts.sinks.publish import build, expected, publish_version, request


class Lines(FolderSink):
    """Writes the rows of each table as CSV."""

    target = ""

    def export(self, connection: Any, tables: Sequence[Table], folder: Path, /) -> None:
        for table in tables:
            path = self.target or folder / f"{table.name}.csv"
            connection.execute(f"COPY {table.name} TO '{path}'")


@pytest.fixture
def sink(tmp_path: Path) -> Lines:
    return Lines(tmp_path / "kept", setting="sinks.lines.folder")


def runs(sink: Lines) -> dict[str, list[str]]:
    folder = sink._folder / "runs"
    return {run.name: sorted(path.name for path in run.iterdir()) for run in folder.iterdir()}


def test_the_files_of_a_run_lie_together_and_the_run_before_stays(sink: Lines) -> None:
    for version in (1, 2, 3):
        publish_version(sink, version, run=f"run/{version}")
    files = ["materia.duckdb", "serving.prices.csv", "serving.totals.csv"]
    current = sink._folder / "current"

    assert runs(sink) == {"run%2F2": files, "run%2F3": files}
    assert (current / "serving.totals.csv").read_text() == "n\n3000\n"
    assert current.readlink() == Path("runs/run%2F3")


def test_what_cannot_be_exported_publishes_nothing_and_the_next_run_goes_on(sink: Lines) -> None:
    publish_version(sink, 1)
    sink.target = "nowhere/at/all.csv"
    with pytest.raises(SinkError):
        publish_version(sink, 2)
    sink.target = ""

    assert sink.fingerprint() == "stamp 1"
    assert publish_version(sink, 2) == expected(2)
    assert sorted(runs(sink)) == ["run 1", "run 2"]


def test_an_export_can_write_nowhere_else(sink: Lines, tmp_path: Path) -> None:
    sink.target = str(tmp_path / "elsewhere.csv")
    database = sink.checkout()
    build(database, 1)
    with pytest.raises(SinkError, match=r"elsewhere\.csv"):
        sink.publish(request("run 1", database, 1))

    assert not (tmp_path / "elsewhere.csv").exists()
    assert sink.published() is None


def test_a_killed_attempt_at_the_same_run_leaves_nothing_in_its_files(sink: Lines) -> None:
    left = sink._folder / "runs/run 1/serving.old.csv"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    publish_version(sink, 1)

    assert runs(sink) == {"run 1": ["materia.duckdb", "serving.prices.csv", "serving.totals.csv"]}
