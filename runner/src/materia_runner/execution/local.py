"""Local worker: run a stage as a subprocess on this machine, and stream its events."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from materia.compute import Instance
from materia.errors import MateriaError, StageError, error_of_worker
from materia.printable import printable
from materia_providers.local_process import lock_for_process, note_group

from materia_runner.codec import LONGEST_LINE, MalformedError
from materia_runner.folders import recordings_folder
from materia_runner.messages import events, stage_results
from materia_runner.messages import stage_request as worker_request
from materia_runner.messages.events import Failed, Observe, Result
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.secrets.redaction import redact

LAST_LINES = 40
LONGEST_WORDS = 2000  # characters of a line in an error message
STOP_SECONDS = 5.0  # the worker ends itself within 2 s after its standard input is closed


def run_worker(
    instance: Instance,
    request: WorkerRequest,
    *,
    environment: Mapping[str, str],
    observe: Observe,
) -> Mapping[str, object]:
    """Run one stage on *instance*, which is this machine, and return its result.

    The worker ends when its standard input is closed, so it ends with this process, even when this
    process is killed. When this function raises, the worker has ended.

    Raises:
        StageError: the worker ended without a result, or by a bug.
        MateriaError: an error of the class that the stage raised.
    """
    if instance.host is not None:
        raise StageError(f"{request.stage}: {instance.provider} is not this machine")
    request = replace(request, recordings=recordings_folder(environment))
    with lock_for_process(Path(instance.directory)) as lock:
        process = subprocess.Popen(  # -P: import nothing from the working directory
            [sys.executable, "-P", "-m", "materia_runner.worker.stage_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=instance.directory,
            env={**environment, "TMPDIR": instance.directory},
            start_new_session=True,  # Ctrl-C reaches the runner alone, which stops the worker
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
        with contextlib.suppress(BrokenPipeError):  # it died at once: its standard error says why
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
        if not events.is_said(line):  # output of Python before materia's code ran
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
    with contextlib.suppress(ValueError):  # the stream was closed when the worker was stopped
        for line in _lines(stderr):
            words.append(_last(line))


def _lines(stream: IO[str]) -> Iterator[str]:
    """The lines of a stream; an endless line comes in pieces, so that it does not fill memory."""
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
    """The error for a failed worker, from its last event, exit code and last output lines.

    A negative *code* is the number of a signal.
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
    except ValueError:  # a worker may report any number
        return f"signal {number}"
