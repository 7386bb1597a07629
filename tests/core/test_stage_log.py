"""Logs of stages: bounded, whatever a stage writes, here and on a rented machine."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.machines import Worker, new_id, one_kind
from materia_runner.ledger.state import State
from materia_runner.messages.events import Output
from materia_runner.run.recorder import Recorder
from materia_runner.run.stage_log import StageLog
from materia_runner.ssh.command import RemoteCommand

pytest_plugins = ["machine_fixtures"]
kind = one_kind
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
STAMP = len("2026-11-24 12:00:00.000000Z ")


def log(path: Path, lines: list[str], *, limit: int) -> list[str]:
    """The lines of a log that got *lines*, without their times."""
    written = StageLog(path, limit_bytes=limit)
    for line in lines:
        written.write(NOON, line)
    written.close(NOON)
    written.close(NOON)
    return [line[STAMP:] for line in path.read_text().splitlines()]


def test_a_log_below_the_limit_is_whole(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(100)]

    assert log(tmp_path / "log", lines, limit=10_000) == lines


def test_a_long_log_has_its_beginning_its_end_and_how_much_was_cut_between(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(100_000)]

    kept = log(tmp_path / "log", lines, limit=10_000)

    (full,) = [number for number, line in enumerate(kept) if "the end is kept" in line]
    told = re.fullmatch(r"([\d,]+) lines \([\d,]+ bytes\) were cut here: .*", kept[full + 1])
    assert told is not None
    cut = int(told[1].replace(",", ""))
    assert kept[:full] + kept[full + 2 :] == lines[:full] + lines[full + cut :]
    assert len(kept) - 2 + cut == len(lines)
    assert (tmp_path / "log").stat().st_size < 10_500


def test_an_endless_line_is_cut_and_says_so(tmp_path: Path) -> None:
    (kept,) = log(tmp_path / "log", ["x" * 300_000], limit=10_000_000)

    assert kept == "x" * 100_000 + " ... (200,000 more characters of this line were cut)"


def test_a_line_that_is_no_text_is_logged_all_the_same(tmp_path: Path) -> None:
    assert log(tmp_path / "log", ["a\ud800b"], limit=1000) == ["a\\ud800b"]


def test_a_log_that_is_flooded_takes_no_more_memory_than_its_end(tmp_path: Path) -> None:
    written = StageLog(tmp_path / "log", limit_bytes=100_000)
    tracemalloc.start()
    for _ in range(2000):
        written.write(NOON, "y" * 10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    written.close(NOON)

    assert peak < 1_000_000
    assert (tmp_path / "log").stat().st_size < 110_000


FLOODS = {
    "lines": "yes $(printf %01000d 1) | head -c 30000000",
    "one endless line": "yes | tr -d '\\n' | head -c 30000000",
    "standard error": "yes $(printf %01000d 1) | head -c 30000000 >&2",
    "an endless line on it": "yes | tr -d '\\n' | head -c 30000000 >&2",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_what_a_stage_on_a_rented_machine_floods_us_with_fills_no_disk(
    worker: Worker, tmp_path: Path, flood: str, recorder: Callable[[], Recorder]
) -> None:
    heard = recorder()

    def told(line: str) -> None:
        heard.observe("extract", Output(text=line))

    script = RemoteCommand(id=new_id(), argv=("sh", "-c", flood), limit=timedelta(minutes=2))
    with worker.session() as session, heard.log_of("extract", 1):
        session.run_command(script, told, told)

    (path,) = tmp_path.rglob("extract.1.log")
    assert 1_000_000 < path.stat().st_size < 10_100_000
    assert " cut" in path.read_text()


@pytest.fixture
def recorder(tmp_path: Path) -> Callable[[], Recorder]:
    state = State(tmp_path / "state")

    def make() -> Recorder:
        return Recorder(
            "20261124T085500-ab12cd",
            state=state,
            ledger=state.ledger(),
            observe=lambda *_: None,
            hidden=(),
        )

    return make
