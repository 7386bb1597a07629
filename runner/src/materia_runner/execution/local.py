"""Start the worker of a stage and stream its events; the one place that knows how to reach it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from materia.compute import Instance
from materia.errors import MateriaError, StageError, error_of_worker
from materia.kit.local_process import lock_for_process, note_group
from materia.printable import printable

from materia_runner.codec import LONGEST_LINE, MalformedError
from materia_runner.messages import events, stage_results
from materia_runner.messages import stage_request as worker_request
from materia_runner.messages.events import Failed, Observe, Result
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.secrets.redaction import redact

LAST_LINES = 40
LONGEST_WORDS = 2000  # of a line that stands in an error
STOP_SECONDS = 5.0  # the worker ends itself within 2 s of losing its life line


def run_worker(
    instance: Instance,
    request: WorkerRequest,
    *,
    environment: Mapping[str, str],
    observe: Observe,
) -> Mapping[str, object]:
    """Run one stage on *instance* and return its result.

    The worker lives as long as its standard input stays open, so it ends with this process, even
    when that is killed. When this function is left by an exception, the worker is gone.

    Raises:
        StageError: the worker ended without a word or by a mistake in the program.
        MateriaError: of the class that the stage raised.
    """
    if instance.host is not None:
        raise StageError(f"{request.stage}: {instance.provider} is not this machine")
    with lock_for_process(Path(instance.directory)) as lock:
        process = subprocess.Popen(  # -P: the folder it runs in is no place to import from
            [sys.executable, "-P", "-m", "materia_runner.worker.stage_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=instance.directory,
            env={**environment, "TMPDIR": instance.directory},
            start_new_session=True,  # Ctrl-C in the terminal is the runner's to pass on
            pass_fds=(lock,),
            encoding="utf-8",
            errors="replace",
        )
        note_group(lock, process.pid)
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        raise AssertionError("all three streams are pipes")
    words: deque[str] = deque(maxlen=LAST_LINES)
    listener = threading.Thread(target=_listen, args=(stderr, words), daemon=True)
    listener.start()
    try:
        with contextlib.suppress(BrokenPipeError):  # it died at once: its last words say why
            stdin.write(worker_request.encode(request) + "\n")
            stdin.flush()
        end = _follow(stdout, request, observe, words)
        code = process.wait()
        listener.join(timeout=STOP_SECONDS)
    finally:
        _stop(process, stdin)
        stdout.close()
        stderr.close()
    if isinstance(end, Result) and code == 0:
        with _understood(request):
            return stage_results.checked(request.stage, end.values)
    raise failure(request, end, code, words)


def _follow(
    stdout: IO[str], request: WorkerRequest, observe: Observe, words: deque[str]
) -> Result | Failed | None:
    end: Result | Failed | None = None
    for line in _lines(stdout):
        if not events.is_said(line):  # printed by an interpreter that was not yet ours
            words.append(_last(line))
            continue
        with _understood(request):
            event = events.decode(line, request.hidden)
        if isinstance(event, (Result, Failed)):
            end = event
        observe(request.stage, event)
    return end


@contextlib.contextmanager
def _understood(request: WorkerRequest) -> Iterator[None]:
    try:
        yield
    except MalformedError as error:
        raise StageError(
            f"{request.stage}: the worker sent a message that materia cannot read: {error}"
        ) from error


def _listen(stderr: IO[str], words: deque[str]) -> None:
    with contextlib.suppress(ValueError):  # closed under it, when the worker was stopped
        for line in _lines(stderr):
            words.append(_last(line))


def _lines(stream: IO[str]) -> Iterator[str]:
    """The lines of a stream, one without an end in pieces: it may not fill the memory."""
    return iter(lambda: stream.readline(LONGEST_LINE), "")


def _last(line: str) -> str:
    return line.rstrip()[-LONGEST_WORDS:]


def _stop(process: subprocess.Popen[str], stdin: IO[str]) -> None:
    with contextlib.suppress(BrokenPipeError):
        stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def failure(
    request: WorkerRequest, end: Result | Failed | None, code: int, words: Iterable[str]
) -> MateriaError:
    """The error for a worker that did not succeed, from its last event, exit code and last words.

    A *code* below zero is the number of a signal.
    """
    if isinstance(end, Failed) and end.expected:
        return error_of_worker(end.kind, printable(end.message))
    if isinstance(end, Failed):
        reason = f"failed with {end.kind}: {end.message}"
    elif code < 0:
        name = _signal(-code)
        reason = f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    else:
        reason = f"ended without a result, exit code {code}"
    secrets = request.hidden
    last = redact(printable("\n".join(words)), secrets).splitlines()
    reason = redact(printable(reason), secrets)
    return StageError("\n  ".join([f"{request.stage}: the worker {reason}", *last]))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a worker may say what it likes
        return f"signal {number}"
