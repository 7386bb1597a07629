"""Machines and networks that fail under a stage: nothing is lost, and another machine goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.folder_sink import FolderSink
from fakes.machines import Worker, boot, one_kind
from materia.data import FetchResult, Partition
from materia.errors import SourceError, StageError, WorkerLostError
from materia_runner.artifact.find import Artifact
from materia_runner.messages.events import Event, Progress
from materia_testing.emulation.ssh_machines.machine import SshMachines
from remote_runs import Run, folder_artifact, kept, remote

pytest_plugins = ["machine_fixtures"]
kind = one_kind
artifact = folder_artifact

MONTHS = {f"m{month:02}": f"a,{month}\n" for month in range(1, 13)}
ALL = {f"2026-{month:02}": f"a,{month}\n" for month in range(1, 13)}


class CountingSink(FolderSink):
    """Counts what is recorded."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.recorded: list[str] = []

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        self.recorded.append(partition.key)
        super().record(source, partition, result)


def test_cut_connections_lose_and_double_nothing(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(**MONTHS)
    sink = CountingSink(tmp_path / "out")

    def cut(event: Event) -> None:
        if isinstance(event, Progress) and event.unit == "partitions" and event.done % 3 == 1:
            worker.machine.cut()

    with remote(worker) as machine:
        machine.prepare(artifact)
        result = run.extract(machine, sink, act=cut)

    assert (result["fetched"], result["in_use"]) == (12, 12)
    assert sorted(sink.recorded) == sorted(ALL)
    assert kept(sink) == ALL
    done = [
        event.done
        for event in run.heard
        if isinstance(event, Progress) and event.unit == "partitions"
    ]
    assert done == list(range(1, 13))


@pytest.mark.parametrize("when", [0, 5])
def test_a_machine_that_dies_harms_nothing_and_another_goes_on(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path, when: int
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(**MONTHS)
    sink = CountingSink(tmp_path / "out")

    def die(_event: Event) -> None:
        if len(sink.recorded) >= when:
            worker.machine.halt()

    with remote(worker) as machine:
        machine.prepare(artifact)
        started = time.monotonic()
        with pytest.raises(WorkerLostError, match="out of reach"):
            run.extract(machine, sink, act=die)
    before = kept(sink)
    run.worker = booted()
    run.write(**MONTHS)
    with remote(run.worker) as machine:
        machine.prepare(artifact)
        result = run.extract(machine, sink, attempt=2)

    assert before.items() <= ALL.items()
    assert result["in_use"] == 12
    assert result["unchanged"] == len(before)
    assert kept(sink) == ALL
    assert time.monotonic() - started < 90


@pytest.mark.parametrize("when", [1, 4, 11])
def test_a_stage_that_is_killed_harms_nothing_and_goes_on_where_it_was(
    booted: Callable[..., Worker], artifact: Artifact, tmp_path: Path, when: int
) -> None:
    worker = booted()
    run = Run(worker, tmp_path)
    run.write(**MONTHS)
    sink = CountingSink(tmp_path / "out")

    def kill(_event: Event) -> None:
        if len(sink.recorded) == when:
            for process, words in worker.machine.processes().items():
                if "materia_runner.worker.stage_process" in words:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)

    with remote(worker) as machine:
        machine.prepare(artifact)
        with pytest.raises(StageError, match=r"was ended by SIGKILL \(out of memory\?\)"):
            run.extract(machine, sink, act=kill)
        before = kept(sink)
        result = run.extract(machine, sink, attempt=2)

    assert before.items() <= ALL.items()
    assert result["unchanged"] == len(before)
    assert kept(sink) == ALL


def test_a_full_disk_of_the_worker_is_told_and_harms_nothing(
    machines: SshMachines, artifact: Artifact, tmp_path: Path
) -> None:
    if machines.kind == "asyncssh":
        pytest.skip("a stand-in has no disk of its own")
    sink = FolderSink(tmp_path / "out")
    machines.disk_bytes = 600_000
    with (
        remote(boot(machines)) as machine,
        pytest.raises(
            StageError, match=r"cannot copy small\.tar.gz .* No space left on device; .*disk_gib"
        ),
    ):
        machine.prepare(artifact)
    machines.disk_bytes = 5_600_000
    worker = boot(machines)
    run = Run(worker, tmp_path)
    large = "a,1\n" * 500_000
    with remote(worker) as machine:
        machine.prepare(artifact)
        run.write_there(m01=large)
        with pytest.raises(SourceError, match="No space left on device"):
            run.extract(machine, sink)
    machines.disk_bytes = None
    run.worker = boot(machines)
    run.write(m01=large)
    with remote(run.worker) as machine:
        machine.prepare(artifact)
        run.extract(machine, sink, attempt=2)

    assert kept(sink) == {"2026-01": large}
