"""One line on a terminal that says what a run is doing; silent where nobody looks."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TextIO

from materia.cli.words import elapsed, size
from materia.events import Event, Failed, Log, Progress, Result

BEAT_SECONDS = 0.2
CLEAR = "\r\x1b[K"
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


class Live:
    """Shows the newest progress of each unit, and the time; warnings stay on the screen."""

    def __init__(self, stream: TextIO, environment: Mapping[str, str], *, quiet: bool) -> None:
        """Draw on *stream*, when it is a terminal that can, in colour unless NO_COLOR is set."""
        self._stream = stream
        self._draws = not quiet and stream.isatty() and environment.get("TERM") != "dumb"
        self._bold = not environment.get("NO_COLOR")
        self._lock = threading.Lock()
        self._stage = ""
        self._newest: dict[str, Progress] = {}
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        if self._draws:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._draws:
            self._thread.join()
            self._write(CLEAR)

    def observe(self, stage: str, event: Event) -> None:
        """Take in one event of a worker."""
        with self._lock:
            if stage != self._stage:
                self._stage, self._newest, self._started = stage, {}, time.monotonic()
            match event:
                case Progress():
                    if any(other.phase != event.phase for other in self._newest.values()):
                        self._newest = {}
                    self._newest[event.unit] = event
                case Log(level="warning"):
                    self._write(f"{CLEAR if self._draws else ''}warning: {event.message}\n")
                case Log():
                    if self._draws:
                        self._write(f"{CLEAR}{event.message}\n")
                case Result() | Failed():
                    self._newest = {}

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with self._lock:
                if not self._stage:
                    continue
                line = progress_line(
                    self._stage, list(self._newest.values()), time.monotonic() - self._started
                )
                width = shutil.get_terminal_size().columns - 1
                line = line[:width]
                if self._bold:
                    line = line.replace(self._stage, f"{BOLD}{self._stage}{PLAIN}", 1)
                self._write(CLEAR + line)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone, and the run goes on or ends well
            self._stream.write(text)
            self._stream.flush()


def progress_line(stage: str, newest: list[Progress], seconds: float) -> str:
    """`extract  fetch 3/230 partitions, 24.1 MB  0:07`."""
    parts = []
    for progress in newest:
        if progress.unit == "bytes":
            parts.append(size(progress.done))
        elif progress.total:
            parts.append(f"{progress.done}/{progress.total} {progress.unit}")
    phase = [f"{newest[0].phase} {', '.join(parts)}".rstrip()] if newest else []
    return "  ".join([stage, *phase, elapsed(seconds)])
