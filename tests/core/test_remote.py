"""Stages on machines that are reached over SSH, with the sink at home."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.folder_sink import FolderSink
from fakes.machines import READY, Worker, boot
from fakes.small_artifact import small_artifact
from materia.artifact import Artifact
from materia.errors import (
    SinkError,
    SourceError,
    StageError,
    WorkerLostError,
)
from materia.events import Event, Output, Progress, Result
from materia.model import FetchResult, Partition
from materia.protocols import Sink
from materia.remote import RemoteWorker, script_id
from materia.signals import Interrupted, interrupts
from materia.testing.cloud import sandbox
from materia.testing.cloud.machine import Kind, SshMachines
from materia.worker_request import WorkerRequest

pytest_plugins = ["machine_fixtures"]
MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=3)


@pytest.fixture(scope="module")
def kind() -> Kind:
    """One kind: what differs between them is tested where a session is."""
    return "asyncssh" if sandbox.why_not() else "openssh"


@pytest.fixture(scope="module")
def artifact(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    with SshMachines(kind=kind) as machines, remote(boot(machines)) as worker:
        python, architecture = worker.probe()
    return small_artifact(
        tmp_path_factory.mktemp("artifact"), python=python, architecture=architecture
    )


def remote(worker: Worker) -> RemoteWorker:
    return RemoteWorker(worker.login, timeout=READY, lease=LEASE)


def home(worker: Worker) -> Path:
    """The login user's home, as this machine sees it."""
    return worker.machine.folder / "home" / "materia"


@dataclass
class Run:
    """One stage on a worker, and what was heard of it."""

    worker: Worker
    folder: Path
    source: str = "folder"
    run: str = "20261124T085500-ab12cd"
    heard: list[Event] = field(default_factory=list)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def write(self, **files: str) -> None:
        """Put files where the source on the worker looks for them."""
        there = home(self.worker) / "in"
        there.mkdir(exist_ok=True)
        there.chmod(0o777)  # the login user leaves marks there
        for month, text in files.items():
            (there / f"2026-{month[1:]}.csv").write_text(text)

    def write_there(self, **files: str) -> None:
        """As `write`, for a machine with a disk that is not seen from here."""
        for month, text in files.items():
            path = self.folder / "large"
            path.write_text(text)
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            with self.worker.session() as session:
                session.upload(path, f"in/2026-{month[1:]}.csv", sha256=sha256)
            path.unlink()

    def request(self) -> WorkerRequest:
        return WorkerRequest(
            run=self.run,
            stage="extract",
            source=self.source,
            sink="folder",
            settings={"source": {"folder": "../../../in"}, "sink": {"folder": "nowhere"}},
            secrets={"source": self.secrets, "sink": {"PASSWORD": "swordfish"}},
            directory=self.folder,
            workspace=self.folder,
        )

    def extract(
        self,
        remote: RemoteWorker,
        sink: Sink | None,
        *,
        attempt: int = 1,
        limit: timedelta = MINUTE,
        act: Callable[[Event], None] = lambda _: None,
    ) -> Mapping[str, object]:
        def observe(stage: str, event: Event) -> None:
            assert stage == "extract"
            self.heard.append(event)
            act(event)

        return remote.run(self.request(), sink=sink, attempt=attempt, limit=limit, observe=observe)


def kept(sink: Sink) -> dict[str, str]:
    """What the sink has in use, by partition."""
    found = {}
    for key, known in sink.known("folder").items():
        if known.raw is not None:
            raw = known.raw
            path = sink.find_raw("folder", raw.partition, raw.file, raw.sha256)
            assert path is not None
            found[key] = path.read_text()
    return found


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
        with pytest.raises(StageError, match="what arrived has the hash"):
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

    there = home(worker) / ".materia" / "stages" / script_id(run.run, "extract", 1) / "nowhere"
    assert result["fetched"] == 1
    assert set(kept(FolderSink(there))) == {"2026-01"}


# Errors of the stage ---------------------------------------------------------------------------


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
        with pytest.raises(StageError, match=r"failed with KeyError: 'a mistake'\n.*Traceback"):
            run.extract(machine, sink, attempt=2)
        run.write(m01="#die\n")
        with pytest.raises(StageError, match=r"was ended by SIGKILL \(out of memory\?\)\n.*last"):
            run.extract(machine, sink, attempt=3)

    said = [event.text for event in run.heard if isinstance(event, Output)]
    assert "KeyError: 'a mistake'" in said
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
        with pytest.raises(StageError, match="extract: was not done within its deadline of 2 s"):
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

        assert not any("materia.worker" in words for words in worker.commands())
        run.write(m02="b,2\n")
        sink = FolderSink(tmp_path / "out")
        run.extract(machine, sink, attempt=2)

    assert kept(sink) == {"2026-01": "a,1\n", "2026-02": "b,2\n"}


# Secrets, and being ended from here ------------------------------------------------------------

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
            home(worker) / ".materia" / "stages" / script_id(run.run, "extract", 1) / "seen.json"
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
    assert any("materia.worker" in word for word in arguments)
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

        assert not any("materia.worker" in words for words in worker.commands())
    assert kept(sink) == {"2026-01": "a,1\n"}


# Faults of machines and networks ---------------------------------------------------------------

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
                if "materia.worker" in words:
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
    machines.disk_bytes = 4_500_000
    worker = boot(machines)
    run = Run(worker, tmp_path)
    large = "a,1\n" * 500_000
    with remote(worker) as machine:
        machine.prepare(artifact)
        run.write_there(m01=large)
        with pytest.raises(StageError, match="No space left on device"):
            run.extract(machine, sink)
    machines.disk_bytes = None
    run.worker = boot(machines)
    run.write(m01=large)
    with remote(run.worker) as machine:
        machine.prepare(artifact)
        run.extract(machine, sink, attempt=2)

    assert kept(sink) == {"2026-01": large}
