"""The sample of PSD Online on rented machines, with the real artifact, against a run at home."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.machines import READY, Worker
from fakes.workshop import Workshop
from materia.errors import BusyError, StageError, WorkerLostError
from materia.plugins import load_plugins
from materia_duckdb.sink import DuckDBSink
from materia_runner.artifact.find import Artifact, find_or_build
from materia_runner.config.load import load_config
from materia_runner.execution.remote import RemoteWorker
from materia_runner.messages.events import Event, Progress
from materia_runner.messages.stage_request import WorkerRequest
from materia_testing.emulation.ssh_machines import sandbox
from materia_testing.emulation.ssh_machines.machine import Kind

pytest_plugins = ["machine_fixtures"]
pytestmark = pytest.mark.slow
LIMIT = timedelta(minutes=5)


@pytest.fixture(scope="module")
def kind() -> Kind:
    if why := sandbox.why_not():
        pytest.skip(why)
    return "openssh"


def contents(database: Path) -> Mapping[str, list[tuple[object, ...]]]:
    """All rows of all published tables."""
    import duckdb

    with duckdb.connect(database, read_only=True) as connection:
        names = connection.execute("SELECT name FROM publication.tables ORDER BY 1").fetchall()
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()
            for (name,) in names
        }


@pytest.mark.campaign
def test_tables_built_on_machines_that_die_equal_those_built_at_home(
    booted: Callable[..., Worker], tmp_path: Path
) -> None:
    (tmp_path / "local").mkdir()
    at_home = Workshop(tmp_path / "local")
    ended = at_home.run("run", "--sample", "--provider", "local")
    assert ended.returncode == 0, ended.stderr
    expected = contents(at_home.directory / "materia.duckdb")
    folder = tmp_path / "home"
    folder.mkdir()
    registry = load_plugins()
    sample = registry.source("psdonline").plugin.sample
    assert sample is not None
    request = WorkerRequest(
        run="20261124T085500-ab12cd",
        stage="extract",
        pipeline="psdonline",
        sources=("psdonline",),
        sink="duckdb",
        settings={
            "source": {"psdonline": {**sample, "base_url": "/nowhere/on/the/worker"}},
            "sink": {"duckdb": {}},
        },
        secrets={"source": {"psdonline": {}}, "sink": {"duckdb": {}}},
        directory=folder,
        workspace=tmp_path,
        sample=True,
    )
    transform = replace(request, stage="transform")
    sink = DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")
    other = DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")
    first, second = booted(), booted()

    def die(_stage: str, event: Event) -> None:
        if isinstance(event, Progress) and event.phase == "load" and event.done:
            first.machine.halt()

    def cut(_stage: str, event: Event) -> None:
        if isinstance(event, Progress) and event.phase in {"load", "publish"}:
            second.machine.cut()

    with remote(first) as worker:
        worker.prepare(an_artifact(worker, folder))
        extracted = worker.run(
            request, sink=sink, attempt=1, limit=LIMIT, observe=lambda _stage, _event: None
        )
        with pytest.raises(WorkerLostError):
            worker.run(transform, sink=sink, attempt=1, limit=LIMIT, observe=die)
    with pytest.raises(BusyError, match="locked by another materia process"):
        other.checkout()
    assert not (folder / "materia.duckdb").exists()
    with remote(second) as worker:
        worker.prepare(an_artifact(worker, folder))
        with pytest.raises(StageError, match="timed out: the worker ended it at its deadline"):
            worker.run(
                transform,
                sink=sink,
                attempt=2,
                limit=timedelta(seconds=1),
                observe=lambda _stage, _event: None,
            )
        built = worker.run(transform, sink=sink, attempt=3, limit=LIMIT, observe=cut)
        again = worker.run(
            transform, sink=sink, attempt=4, limit=LIMIT, observe=lambda _stage, _event: None
        )

    assert (extracted["fetched"], built["published"], again["published"]) == (3, True, False)
    assert built["database"] == str(folder / "materia.duckdb")
    assert contents(folder / "materia.duckdb") == expected
    assert {path.name for path in tmp_path.iterdir()} == {"home", "local"}
    assert other.checkout().exists()


def remote(worker: Worker) -> RemoteWorker:
    return RemoteWorker(worker.login, timeout=READY, lease=timedelta(seconds=5))


def an_artifact(worker: RemoteWorker, folder: Path) -> Artifact:
    python, architecture = worker.probe()
    registry = load_plugins()
    return find_or_build(
        python=python,
        architecture=architecture,
        registry=registry,
        pipeline=load_config(registry, path=None, start=folder),
        say=lambda _: None,
    )
