"""No process that knows a secret leaves its memory on a disk when it crashes."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.machines import Worker, new_id, one_kind
from fakes.workshop import Workshop, wait_until
from materia_runner.ssh.command import RemoteCommand

pytest_plugins = ["machine_fixtures"]
kind = one_kind


@pytest.fixture(autouse=True, scope="module")
def allowed() -> Iterator[None]:
    """Where core dumps are on, for what these tests start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if not hard:
        pytest.skip("core dumps are off here for good")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def core_limit(process: int) -> list[str]:
    text = Path(f"/proc/{process}/limits").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("Max core file size")]
    return line.split()[4:6]


def test_a_run_and_its_worker_on_this_machine_dump_no_core(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#hang\n")
    with folders.start("run") as run:
        mark = folders.directory / "in" / "hanging-in-fetch"
        wait_until(lambda: mark.exists() and mark.read_text() != "", "hanging")
        limits = [core_limit(run.pid), core_limit(int(mark.read_text()))]
        run.terminate()

    assert limits == [["0", "0"], ["0", "0"]]
    assert core_limit(os.getpid()) != ["0", "0"]


def test_what_runs_on_a_rented_machine_dumps_no_core(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"")
    lines: list[str] = []
    script = RemoteCommand(id=new_id(), argv=("sh", "-c", "ulimit -Hc"), limit=timedelta(minutes=1))

    with worker.session() as session:
        session.look()
        session.run_command(script, lines.append)
        pythons = [
            process
            for process, words in worker.machine.processes().items()
            if words[:2] == ["python3", "-ISc"]
        ]
        limits = [core_limit(process) for process in pythons]

    assert lines == ["0"]
    assert limits
    assert all(limit == ["0", "0"] for limit in limits)
