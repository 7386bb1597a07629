"""Progress of a run: a status line on a terminal, or a JSON object for each event."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Self, TextIO

from materia.compute import Money
from materia.printable import on_one_line, printable

from materia_runner.cli.echo import wrapped_for
from materia_runner.cli.output.text import size
from materia_runner.figures import elapsed_text, money_text
from materia_runner.messages.events import (
    Event,
    Failed,
    Log,
    Machine,
    MachineState,
    Output,
    Progress,
    Result,
    Spent,
    encode,
)

BEAT_SECONDS = 0.2
# How long the line shows one of several workers.
TURN_SECONDS = 2.0
BAR = 10  # characters of the bar between its brackets
# Before that, a rate says little.
STEADY_SECONDS = 2.0
CLEAR = "\r\x1b[K"
# What happens between two states of a machine, which has no progress of its own.
DOING: Mapping[MachineState, str] = {
    "asked": "renting",
    "created": "waiting until the machine answers",
    "ready": "preparing the machine",
}
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


class _Worker:
    """What is shown of one worker: its stage, its machine and its latest progress."""

    def __init__(self) -> None:
        self.newest: dict[str, Progress] = {}
        self.where = ""
        self.doing = "starting"
        self.started = self.phase_started = time.monotonic()


class ProgressDisplay:
    """Shows where stages run, their latest progress, elapsed time and cost.

    Workers of one stage side by side share the line: each is shown for some seconds in turn.
    Warnings stay on the screen, and so do rented machines with their cost.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str], *, quiet: bool) -> None:
        """Draw on *stream* when it is a capable terminal, in bold unless NO_COLOR is set."""
        self._stream = stream
        self._quiet = quiet
        self._draws = not quiet and stream.isatty() and environment.get("TERM") != "dumb"
        self._bold = not environment.get("NO_COLOR")
        self._lock = threading.Lock()
        self._workers: dict[str, _Worker] = {}  # by the labels of their stages
        self._spent: Spent | None = None
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

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Clear the status line, and draw nothing in this block."""
        with self._lock:
            if self._draws:
                self._write(CLEAR)
            yield

    def observe(self, stage: str, event: Event) -> None:
        """Process one event of a run."""
        with self._lock:
            worker = self._worker(stage, event)
            match event:
                case Progress():
                    if all(other.phase != event.phase for other in worker.newest.values()):
                        worker.newest, worker.phase_started = {}, time.monotonic()
                    worker.newest[event.unit] = event
                case Log():
                    whose = f"{stage}: " if _is_shared(stage) else ""
                    if event.level == "warning":
                        self._say(f"warning: {whose}{event.message}")
                    elif self._draws:
                        self._say(f"{whose}{event.message}")
                case Result() | Failed():
                    worker.newest, worker.doing = {}, "finishing"
                case Machine():
                    self._meet(stage, worker, event)
                case Spent():
                    self._spent = event
                case Output():
                    pass  # the log has it

    def _worker(self, stage: str, event: Event) -> _Worker:
        """The worker that *event* is of; its stage takes the place of another stage."""
        name = _name(stage)
        if stage in self._workers:
            return self._workers[stage]
        same = next((one for label, one in self._workers.items() if _name(label) == name), None)
        # Of all workers, or of a machine that has moved on to another stage.
        of_all = same is not None and isinstance(event, Log)
        if (of_all or _of_a_machine(event)) and self._workers and not _is_shared(stage):
            return same or next(iter(self._workers.values()))
        where = next((one.where for one in self._workers.values()), "")
        if same is None or not all(map(_is_shared, (stage, *self._workers))):
            self._workers.clear()
        worker = self._workers[stage] = _Worker()
        if not _is_shared(stage):
            worker.where = where
        return worker

    def _meet(self, stage: str, worker: _Worker, machine: Machine) -> None:
        """Show a rented machine in the line while it exists; report when it is rented and gone.

        The report does not depend on a terminal, as machines cost money.
        """
        if not Decimal(machine.hourly):
            return
        where = f"{machine.provider} {machine.instance_type} in {machine.place}"
        worker.where = where if machine.state in {"created", "ready"} else ""
        if machine.state in DOING:
            worker.newest, worker.doing = {}, DOING[machine.state]
        if machine.state == "gone" and len(self._workers) > 1:
            self._workers.pop(stage, None)  # the line is for those that still run
        if self._quiet:
            return
        if machine.state == "created":
            whose = f" for {stage}" if _is_shared(stage) else ""
            self._say(f"rented {where} ({machine.name}){whose}")
        elif machine.state == "gone":
            cost = Money(Decimal(machine.cost), machine.currency)
            self._say(f"{where} is gone; it cost {money_text(cost)}")

    def _say(self, text: str) -> None:
        # Indent further lines, so that a worker cannot imitate the runner's own messages.
        line = wrapped_for(self._stream, printable(text).replace("\n", "\n  "))
        self._write(f"{CLEAR if self._draws else ''}{line}\n")

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with self._lock:
                if not self._workers:
                    continue
                labels = list(self._workers)
                stage = labels[int(time.monotonic() / TURN_SECONDS) % len(labels)]
                width = shutil.get_terminal_size().columns - 1
                line = self._line(stage, bar=True)
                if len(line) > width:
                    line = self._line(stage, bar=False)
                line = (line if line.isprintable() else on_one_line(line))[:width]
                if self._bold:
                    line = line.replace(stage, f"{BOLD}{stage}{PLAIN}", 1)
                self._write(CLEAR + line)

    def _line(self, stage: str, *, bar: bool) -> str:
        now, worker = time.monotonic(), self._workers[stage]
        return progress_line(
            stage,
            list(worker.newest.values()),
            now - worker.started,
            where=worker.where,
            spent=self._spent,
            phase_seconds=now - worker.phase_started,
            doing=worker.doing,
            bar=bar,
        )

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone; the run continues
            self._stream.write(text)
            self._stream.flush()


def _name(label: str) -> str:
    """The stage of a label: `extract` of `extract (ecb)`."""
    return label.partition(" ")[0]


def _is_shared(label: str) -> bool:
    """Whether other workers run the same stage, for other sources."""
    return label != _name(label)


def _of_a_machine(event: Event) -> bool:
    """Whether the event is about a machine, which may have moved on to its next stage."""
    return isinstance(event, Spent) or (isinstance(event, Machine) and event.state != "asked")


def progress_line(
    stage: str,
    newest: list[Progress],
    seconds: float,
    *,
    where: str = "",
    spent: Spent | None = None,
    phase_seconds: float = 0,
    doing: str = "",
    bar: bool = True,
) -> str:
    """The status line of a stage.

    `extract  fetch [#---------] 30/230 partitions, 24.1 MB, 3.4 MB/s, about 47 s left  7 s
    0.0577 EUR  hetzner cpx32 in fsn1`, on one line.

    Args:
        stage: Name of the stage.
        newest: The newest progress of its phase, one for each unit.
        seconds: Time since the stage began.
        where: The rented machine, if any.
        spent: Money spent so far.
        phase_seconds: Time since the phase began.
        doing: What happens while there is no progress.
        bar: Whether there is room for a bar.
    """
    drawn, parts, left = "", [], []
    for progress in newest:
        if progress.unit == "bytes":
            parts.append(size(progress.done))
            if phase_seconds >= STEADY_SECONDS and progress.done:
                parts.append(f"{size(round(progress.done / phase_seconds))}/s")
        elif progress.total:
            done, total = min(progress.done, progress.total), progress.total
            drawn = f"[{'#' * (BAR * done // total):-<{BAR}}]"
            parts.append(f"{progress.done}/{total} {progress.unit}")
            if phase_seconds >= STEADY_SECONDS and 0 < done < total:
                left = [f"about {elapsed_text(phase_seconds * (total - done) / done)} left"]
    phase = (
        " ".join(filter(None, [newest[0].phase, drawn if bar else "", ", ".join(parts + left)]))
        if newest
        else doing
    )
    money = [money_text(Money(Decimal(spent.amount), spent.currency))] if spent else []
    return "  ".join(filter(None, [stage, phase, elapsed_text(seconds), *money, where]))


class EventLines:
    """Writes every event as one line of JSON, with its time and stage."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: no event is buffered."""

    def observe(self, stage: str, event: Event) -> None:
        """Write one event of a run."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": now, "stage": stage, **json.loads(encode(event))})
        with self._lock, contextlib.suppress(OSError):  # the reader is gone; the run continues
            self._stream.write(f"{line}\n")
            self._stream.flush()
