from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.workshop import Workshop, alive, wait_until
from hypothesis import given
from hypothesis import strategies as st
from materia_runner.messages import events
from materia_runner.messages import stage_request as worker_request
from materia_runner.messages.events import Failed, Log, Progress, Result
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.worker.stage_process import _fault_of_the_machine

TEXT = st.text(max_size=20)
COUNT = st.integers(0, 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
EVENTS = st.one_of(
    st.builds(
        Progress,
        phase=TEXT,
        done=COUNT,
        total=st.none() | COUNT,
        unit=st.sampled_from(["partitions", "bytes"]),
    ),
    st.builds(Log, level=st.sampled_from(["info", "warning"]), message=TEXT),
    st.builds(Result, values=st.dictionaries(TEXT, JSON, max_size=3)),
    st.builds(Failed, kind=TEXT, message=TEXT, expected=st.booleans()),
)


@given(EVENTS)
def test_an_event_is_one_line_and_comes_back_equal(event: events.Event) -> None:
    line = events.encode(event)

    assert "\n" not in line
    assert events.decode(line) == event


@pytest.mark.parametrize(
    "line", ["", "hello", "[]", "{}", '{"event": "shout"}', '{"event": "log", "text": "x"}']
)
def test_what_is_not_an_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not an event"):
        events.decode(line)


@given(
    settings=st.dictionaries(
        TEXT, st.none() | TEXT | st.integers(-(2**62), 2**62) | st.tuples(TEXT, TEXT)
    ),
    secrets=st.dictionaries(TEXT, TEXT),
    project=st.none() | st.just(Path("/srv/project")),
)
def test_a_request_is_one_line_and_comes_back_equal(
    settings: dict[str, object], secrets: dict[str, str], project: Path | None
) -> None:
    request = WorkerRequest(
        run="20261124T085500-ab12cd",
        stage="extract",
        pipeline="a",
        sources=("a", "c"),
        sink="b",
        settings={"source": {"a": settings, "c": {}}, "sink": {"b": {}}},
        secrets={"source": {"a": secrets, "c": {}}, "sink": {"b": {}}},
        directory=Path("/srv"),
        workspace=Path("/srv/work"),
        project=project,
    )

    line = worker_request.encode(request)

    assert "\n" not in line
    assert worker_request.decode(line) == request


def test_sample_data_is_kept_under_a_name_of_its_own(folders: Workshop) -> None:
    real = request_of(folders)

    assert real.kept_as("folder") == "folder"
    assert replace(real, sample=True).kept_as("folder") == "folder-sample"


def request_of(folders: Workshop) -> WorkerRequest:
    workspace = folders.directory / "workspace"
    workspace.mkdir(exist_ok=True)
    return WorkerRequest(
        run="20261124T085500-ab12cd",
        stage="extract",
        pipeline="folder",
        sources=("folder",),
        sink="folder",
        settings={"source": {"folder": {"folder": "in"}}, "sink": {"folder": {"folder": "out"}}},
        secrets={"source": {"folder": {}}, "sink": {"folder": {}}},
        directory=folders.directory,
        workspace=workspace,
    )


def started(folders: Workshop) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "materia_runner.worker.stage_process"],
        cwd=folders.directory,
        env=folders.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert worker.stdin is not None
    worker.stdin.write(worker_request.encode(request_of(folders)) + "\n")
    worker.stdin.flush()
    return worker


def test_a_worker_answers_a_line_with_events_and_nothing_else(folders: Workshop) -> None:
    worker = started(folders)
    assert worker.stdout is not None
    said = [events.decode(line) for line in worker.stdout]
    code = worker.wait(timeout=30)  # before its life line closes, as the runner does
    worker.communicate(timeout=30)

    assert code == 0
    assert isinstance(said[-1], Result)
    assert said[-1].values["fetched"] == 2
    last = [event for event in said if isinstance(event, Progress) and event.unit == "partitions"]
    assert (last[-1].done, last[-1].total) == (2, 2)


def test_a_worker_ends_when_its_life_line_closes(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#hang\n")
    worker = started(folders)
    mark = folders.directory / "in" / "hanging-in-fetch"
    wait_until(mark.exists, "hanging in fetch")
    assert worker.stdin is not None
    worker.stdin.close()

    assert worker.wait(timeout=30) == 130
    assert not alive(worker.pid)
    for stream in (worker.stdout, worker.stderr):
        assert stream is not None
        stream.close()


def test_a_folder_that_cannot_be_written_is_told_in_one_line(folders: Workshop) -> None:
    folders.write("out", "a file where the sink wants a folder")

    ended = folders.run("pipeline", "run", "extract")

    assert ended.returncode == 1
    assert ended.stderr.startswith("materia: extract: ")
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr


def test_a_stage_elsewhere_could_be_asked_in_the_same_words(folders: Workshop) -> None:
    """The request names no process and no machine, so it can be sent to another one."""
    values = json.loads(worker_request.encode(request_of(folders)))

    assert set(values) == {
        "run",
        "stage",
        "pipeline",
        "sources",
        "sink",
        "settings",
        "secrets",
        "directory",
        "workspace",
        "project",
        "sample",
        "everything",
        "only",
        "drop",
        "bundled_only",
        "at_home",
        "recordings",
    }


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "raw/x"),
            (
                "[Errno 28] No space left on device: 'raw/x'; free some disk space and run again, "
                "it will resume where it stopped"
            ),
        ),
        (
            RuntimeError("Could not write file: No space left on device"),
            (
                "Could not write file: No space left on device; free some disk space and "
                "run again, it will resume where it stopped"
            ),
        ),
        (PermissionError(errno.EACCES, "Permission denied", "out"), "Permission denied: out"),
        (KeyError("x"), None),
    ],
)
def test_a_fault_of_the_machine_is_told_apart_from_a_mistake(
    error: Exception, sentence: str | None
) -> None:
    assert _fault_of_the_machine(error) == sentence


FLOOD = """
import os, sys
if "materia_runner.worker.stage_process" in sys.orig_argv:
    for _ in range(30):
        os.write({stream}, b"x" * 1_000_000)
    os._exit(3)
"""


@pytest.mark.parametrize("stream", [1, 2])
def test_an_endless_line_of_a_worker_here_ends_in_a_short_sentence(
    folders: Workshop, stream: int
) -> None:
    folders.module("sitecustomize", FLOOD.format(stream=stream))

    done = folders.run("pipeline", "run", "extract")

    assert done.returncode == 1
    assert "the worker ended without a result, exit code 3" in done.stderr
    assert len(done.stderr) < 100_000
