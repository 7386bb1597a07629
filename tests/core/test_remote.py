"""Stages on machines that are reached over SSH, with the sink at home."""

from __future__ import annotations

import gzip
import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.folder_sink import FolderSink
from fakes.machines import Worker, one_kind
from materia.data import FetchResult, Partition
from materia.errors import SinkError, SourceError, StageError
from materia_runner.artifact.find import Artifact
from materia_runner.execution.remote import command_id
from materia_runner.messages.events import Event, Output, Progress, Result
from materia_runner.signals import Interrupted, interrupts
from remote_runs import Run, folder_artifact, home, kept, remote

pytest_plugins = ["machine_fixtures"]
kind = one_kind
artifact = folder_artifact


def test_another_artifact_comes_while_a_stage_runs(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(m01="a,1\n")
    sink = FolderSink(tmp_path / "out")
    other, damaged = (variant(artifact, tmp_path / name) for name in ("other", "damaged"))
    damaged.path.write_bytes(damaged.path.read_bytes()[:-30])
    with remote(worker) as machine:
        machine.prepare(artifact)
        machine.bring(other)
        machine.bring(damaged)
        first = run.extract(machine, sink)
        machine.prepare(other)
        again = run.extract(machine, sink, attempt=2)
        with pytest.raises(StageError, match="hash mismatch: what arrived has the hash"):
            machine.prepare(damaged)

    assert (first["fetched"], again["unchanged"]) == (1, 1)
    artifacts = {path.name for path in (home(worker) / ".materia/artifacts").iterdir()}
    assert artifacts == {artifact.sha256, other.sha256}


def variant(artifact: Artifact, path: Path) -> Artifact:
    """An artifact of the same files and other bytes."""
    content = artifact.path.read_bytes() + gzip.compress(b"", mtime=len(path.name))
    path.write_bytes(content)
    return replace(
        artifact, path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content)
    )


def test_an_extract_brings_its_files_home(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(m01="a,1\n", m02="b,2\n")
    sink = FolderSink(tmp_path / "out")
    with remote(worker) as machine:
        machine.prepare(artifact)
        result = run.extract(machine, sink)
        again = run.extract(machine, sink, attempt=2)

    assert (result["fetched"], result["in_use"]) == (2, 2)
    assert (again["fetched"], again["unchanged"]) == (0, 2)
    assert kept(sink) == {"2026-01": "a,1\n", "2026-02": "b,2\n"}
    assert isinstance(run.heard[-1], Result)


def test_a_result_waits_for_the_last_file_to_be_kept(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(**{f"m{month:02}": f"a,{month}\n" for month in range(1, 13)})

    class SlowSink(FolderSink):
        def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
            assert threading.current_thread() is threading.main_thread()
            time.sleep(0.03)
            super().record(source, partition, result)

    sink = SlowSink(tmp_path / "out")
    with remote(worker) as machine:
        machine.prepare(artifact)
        result = run.extract(machine, sink)

    assert (result["fetched"], result["in_use"]) == (12, 12)
    assert len(kept(sink)) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_sink_that_is_reached_from_anywhere_is_opened_on_the_worker(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(m01="a,1\n")
    with remote(worker) as machine:
        machine.prepare(artifact)
        result = run.extract(machine, None)

    there = home(worker) / ".materia" / "stages" / command_id(run.run, "extract", 1) / "nowhere"
    assert result["fetched"] == 1
    assert set(kept(FolderSink(there))) == {"2026-01"}


def test_an_error_of_the_stage_is_the_class_it_was(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    sink = FolderSink(tmp_path / "out")
    with remote(worker) as machine:
        machine.prepare(artifact)
        run.write(m01="#fail the server is down\n")
        with pytest.raises(SourceError, match=r"2026-01.*the server is down"):
            run.extract(machine, sink)
        run.write(m01="#crash a mistake\n")
        with pytest.raises(SourceError, match=r"2026-01.*failed with KeyError: 'a mistake' \("):
            run.extract(machine, sink, attempt=2)
        run.write(m01="#die\n")
        with pytest.raises(StageError, match=r"was ended by SIGKILL \(out of memory\?\)\n.*last"):
            run.extract(machine, sink, attempt=3)

    said = [event.text for event in run.heard if isinstance(event, Output)]
    assert "last words" in said


def test_a_hung_stage_meets_its_deadline_and_the_next_attempt_succeeds(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(m01="a,1\n", m02="#hang\n")
    sink = FolderSink(tmp_path / "out")
    with remote(worker) as machine:
        machine.prepare(artifact)
        with pytest.raises(
            StageError, match="extract: timed out: the worker ended it at its deadline of 2 s"
        ):
            run.extract(machine, sink, limit=timedelta(seconds=2))
        run.write(m02="b,2\n")
        run.extract(machine, sink, attempt=2)

    assert kept(sink) == {"2026-01": "a,1\n", "2026-02": "b,2\n"}


def test_an_error_of_the_sink_at_home_ends_the_stage_and_is_raised_as_it_is(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    class FullSink(FolderSink):
        def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
            raise SinkError("out: No space left on device; see to it and run again")

    worker = booted()
    run = Run(worker, tmp_path)
    run.write(m01="a,1\n", m02="#hang\n")
    with remote(worker) as machine:
        machine.prepare(artifact)
        with pytest.raises(SinkError, match=r"^out: No space left"):
            run.extract(machine, FullSink(tmp_path / "out"))

        assert not any(
            "materia_runner.worker.stage_process" in words for words in worker.commands()
        )
        run.write(m02="b,2\n")
        sink = FolderSink(tmp_path / "out")
        run.extract(machine, sink, attempt=2)

    assert kept(sink) == {"2026-01": "a,1\n", "2026-02": "b,2\n"}


SECRET = "correct-horse-$HOME-'\"-staple"  # noqa: S105 -- that is the point


def test_secrets_are_told_to_the_source_alone_and_found_nowhere(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path, source="secretive", secrets={"SECRETIVE_TOKEN": SECRET})
    arguments: list[str] = []

    done = threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            for words in worker.machine.processes().values():
                arguments.extend(words)

    with remote(worker) as machine:
        machine.prepare(artifact)
        spy = threading.Thread(target=look)
        spy.start()
        with pytest.raises(SourceError, match=r"the server refused \*\*\*"):
            run.extract(machine, FolderSink(tmp_path / "out"))
        done.set()
        spy.join()
    seen = json.loads(
        (
            home(worker) / ".materia" / "stages" / command_id(run.run, "extract", 1) / "seen.json"
        ).read_text()
    )
    files = {
        str(path): path.read_bytes()
        for path in worker.machine.folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != "seen.json"
    }
    files["console"] = worker.machine.console().encode()
    files["events"] = repr(run.heard).encode()
    files["arguments"] = "\n".join(arguments).encode()

    assert seen["secret"] == SECRET
    assert seen["environment"]["PYTHONPATH"].endswith(f"/.materia/artifacts/{artifact.sha256}/lib")
    assert not any("staple" in value for value in seen["environment"].values())
    assert any("materia_runner.worker.stage_process" in word for word in arguments)
    assert any(isinstance(event, Output) and "***" in event.text for event in run.heard)
    for planted in (b"staple", b"swordfish"):
        assert [name for name, content in files.items() if planted in content] == []


def test_sigterm_here_ends_the_stage_there_at_once(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(m01="a,1\n", m02="#hang\n")
    sink = FolderSink(tmp_path / "out")
    me = threading.main_thread().ident
    assert me is not None

    def press(event: Event) -> None:
        if isinstance(event, Progress) and event.unit == "partitions":
            threading.Timer(0.3, signal.pthread_kill, (me, signal.SIGTERM)).start()

    with remote(worker) as machine:
        machine.prepare(artifact)
        with interrupts(), pytest.raises(Interrupted):
            run.extract(machine, sink, act=press)

        assert not any(
            "materia_runner.worker.stage_process" in words for words in worker.commands()
        )
    assert kept(sink) == {"2026-01": "a,1\n"}
