"""Workers side by side: what a signal, or an error, between any two lines leaves behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from inspect import CO_GENERATOR
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from fakes.rows import NOON, run_row
from materia_runner.ledger.ledger import Ledger
from materia_runner.run.workers.side_by_side import side_by_side
from materia_runner.signals import Interrupted, Interrupts, interrupts, let_go

if TYPE_CHECKING:
    from materia_runner.run.context import RunContext


RUN = run_row().run


def context_with(signals: Interrupts) -> RunContext:
    """As much of a run as a block of workers needs when it has none."""
    return cast("RunContext", SimpleNamespace(signals=signals, home_sink=lambda: None))


def test_a_signal_at_the_end_of_the_block_of_workers_waits_until_they_are_stopped(
    tmp_path: Path,
) -> None:
    end = tmp_path / "end"

    with pytest.raises(Interrupted), interrupts() as signals, side_by_side(context_with(signals)):  # noqa: PT012 -- the block is interrupted
        with signals.released():
            """What the main thread does while they run."""
        os.kill(os.getpid(), signal.SIGTERM)
        end.touch()

    assert end.exists()


def interrupted_at(moment: int, ledger: Ledger) -> Interrupted | None:
    """Write a note; an interrupt ends it at a call, or after one, of that number."""
    left = moment

    def heard(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal left
        if event == "c_return" or (event == "call" and not frame.f_code.co_flags & CO_GENERATOR):
            left -= 1  # a signal ends no generator as it goes on, without its own clean-up
        if left < 0:
            sys.setprofile(None)
            raise Interrupted(signal.SIGTERM)

    try:
        sys.setprofile(heard)
        ledger.note(RUN, at=NOON, stage="extract", text=str(moment))
    except Interrupted as interrupted:
        return interrupted
    finally:
        sys.setprofile(None)
    return None


def test_a_signal_at_any_point_of_a_write_keeps_no_worker_from_its_own(ledger: Ledger) -> None:
    for moment in range(10_000):
        interrupted = interrupted_at(moment, ledger)
        if interrupted is None:
            break
        let_go(interrupted)
        thread = threading.Thread(
            target=lambda: ledger.note(RUN, at=NOON, stage="extract", text="of a worker"),
            daemon=True,
        )
        thread.start()
        thread.join(10)
        assert not thread.is_alive(), f"the ledger is locked after the moment {moment}"

    assert moment > 10
    written = [note.text for note in ledger.notes(RUN) if note.text == "of a worker"]
    assert len(written) == moment
