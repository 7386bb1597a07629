"""Stage process: run one stage, with `python -m materia_runner.worker.stage_process`.

It reads one line of JSON from standard input (`stage_request`), writes events to standard output
(`events`) and free text to standard error. Standard input stays open as a life line: when it
closes, the runner is gone, and the worker ends. Messages to a sink at home (`sink_proxy`) are among
the events, and their answers arrive on standard input.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping

from materia.errors import MateriaError, SinkError
from materia.protocols import Sink

from materia_runner.messages import events
from materia_runner.messages import stage_request as worker_request
from materia_runner.messages.events import Event, Failed, Result
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.ssh.agent.core_dumps import switch_off
from materia_runner.worker.plugin_warnings import plugin_warnings
from materia_runner.worker.sink_proxy import Home, RelayedSink

GRACE_SECONDS = 2.0
FULL = os.strerror(errno.ENOSPC)


def main() -> int:
    """Serve one request; 0 when the stage succeeded."""
    switch_off()
    write = _take_output()
    home = Home(write)

    def emit(event: Event) -> None:
        write(events.encode(event))

    request = worker_request.decode(sys.stdin.buffer.readline().decode())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have set it to ignore
    threading.Thread(target=_end_with_life_line, args=(home,), daemon=True).start()
    try:
        with plugin_warnings(emit, request.hidden):
            values = run_stage(request, emit, home)
        emit(Result(values=values))
    except KeyboardInterrupt:
        return 130
    except MateriaError as error:
        emit(Failed(kind=type(error).__name__, message=str(error), expected=True))
    except Exception as error:  # noqa: BLE001 -- reported to the runner, after the traceback
        traceback.print_exc()
        if (sentence := _fault_of_the_machine(error)) is not None:
            message = f"{request.stage}: {sentence}"
            emit(Failed(kind="StageError", message=message, expected=True))
        else:
            emit(Failed(kind=type(error).__name__, message=str(error), expected=False))
    else:
        return 0
    return 1


def run_stage(
    request: WorkerRequest, emit: Callable[[Event], None], home: Home
) -> Mapping[str, object]:
    """Open the sources and the sink, or a proxy of a sink at *home*, and run the stage.

    Raises:
        MateriaError: an error of the stage, a source or the sink.
    """
    from materia_runner.bundled import load_registry
    from materia_runner.opening import open_plugin

    request.workspace.mkdir(parents=True, exist_ok=True)
    registry = load_registry(bundled_only=request.bundled_only)
    sources = {
        name: open_plugin(
            found := registry.source(name),
            request.secrets["source"][name],
            settings={
                **request.settings["source"][name],
                # Its paths are those of the plugin installed here.
                **((found.plugin.sample or {}) if request.sample else {}),
            },
            directory=request.directory,
        )
        for name in request.sources
    }
    sink: Sink
    if request.at_home is not None:
        sink = RelayedSink(home, request.at_home, workspace=request.workspace)
    else:
        sink = open_plugin(
            registry.sink(request.sink),
            request.secrets["sink"][request.sink],
            settings=request.settings["sink"][request.sink],
            directory=request.directory,
        )
    for name in request.sources if request.sample else ():
        if any(known.raw for known in sink.known(name).values()):
            raise SinkError(
                f"the sink {request.sink!r} already has real files of {name}, and the sample would "
                "replace the tables built from them; run the sample in another folder, or run "
                "without --sample to continue with the real files"
            )
    if request.stage == "extract":
        from materia_runner.worker.extract import extract

        return extract(sources, sink, request, emit)
    from materia_runner.worker.transform import build

    versions = {name: registry.source(name).version for name in request.sources}
    return build(sources, sink, request, emit, versions=versions)


def _fault_of_the_machine(error: Exception) -> str | None:
    """A sentence when a full disk or a missing permission is to blame, not a bug; else None."""
    if FULL in str(error):  # DuckDB has it in messages of several classes
        return f"{error}; free some disk space and run again, it will resume where it stopped"
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    return None


def _take_output() -> Callable[[str], None]:
    """A function that writes lines to standard output; all other output goes to standard error."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # line-buffered, so nothing is lost when the worker is killed
    lock = threading.Lock()

    def write(line: str) -> None:
        with lock:
            stream.write(line + "\n")

    return write


def _end_with_life_line(home: Home) -> None:
    try:
        for line in sys.stdin.buffer:
            home.answered(line.decode())
    finally:
        # A real signal, which also ends a sleep: Python then removes half-written files.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(GRACE_SECONDS)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # with the processes that the stage started
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Do not wait for threads that still wait for a server: all results are written.
    os._exit(code)
