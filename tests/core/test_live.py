"""What is on the screen while a run is under way."""

from __future__ import annotations

import io
import json
import re
from functools import partial

import pytest
from fakes.workshop import wait_until
from materia_runner.cli.output.progress import DOING, EventLines, ProgressDisplay, progress_line
from materia_runner.messages.events import Event, Log, Machine, MachineState, Progress, Spent

PLAIN = {"NO_COLOR": "1"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def last(self) -> str:
        """The line that is there now."""
        return self.getvalue().rpartition("\r\x1b[K")[2]


def machine(state: MachineState, *, hourly: str = "0.10", cost: str = "") -> Machine:
    return Machine(
        name="materia-1-extract",
        state=state,
        provider="hetzner",
        place="fsn1",
        instance_type="cpx32",
        hourly=hourly,
        currency="EUR",
        cost=cost,
    )


EVENTS: list[tuple[str, Event]] = [
    ("extract", Log(level="info", message="about 0.10 EUR")),
    ("extract", Log(level="warning", message="cpx22 is sold out; trying the next offer")),
    ("extract", machine("asked")),
    ("extract", machine("created")),
    ("extract", machine("ready")),
    ("extract", Progress(phase="fetch", done=3, total=3, unit="partitions")),
    ("transform", Progress(phase="load", done=1, total=3, unit="partitions")),
    ("extract", Spent(amount="0.0577", currency="EUR")),
]


def test_the_line_tells_the_stage_its_progress_time_money_and_machine() -> None:
    progress = [
        Progress(phase="fetch", done=3, total=230, unit="partitions"),
        Progress(phase="fetch", done=24_100_000, total=None, unit="bytes"),
    ]
    spent = Spent(amount="0.0577", currency="EUR")

    line = progress_line("extract", progress, 67.2, where="hetzner cpx32 in fsn1", spent=spent)

    assert line == (
        "extract  fetch [----------] 3/230 partitions, 24.1 MB  1 min 7 s  0.0577 EUR  "
        "hetzner cpx32 in fsn1"
    )


def test_the_line_has_a_rate_and_an_estimate_once_they_are_steady() -> None:
    progress = [
        Progress(phase="fetch", done=20, total=80, unit="partitions"),
        Progress(phase="fetch", done=24_000_000, total=None, unit="bytes"),
    ]

    assert progress_line("extract", progress, 15, phase_seconds=10) == (
        "extract  fetch [##--------] 20/80 partitions, 24.0 MB, 2.4 MB/s, about 30 s left  15 s"
    )
    assert "left" not in progress_line("extract", progress, 15, phase_seconds=1)


def shows(terminal: Terminal, words: str) -> bool:
    return words in terminal.last()


def test_a_phase_without_progress_has_words_for_what_happens() -> None:
    terminal = Terminal()
    with ProgressDisplay(terminal, PLAIN, quiet=False) as live:
        said = []
        for state, words in DOING.items():
            live.observe("extract", machine(state))
            wait_until(partial(shows, terminal, words), "it says what happens")
            said.append(terminal.last())

    assert re.match(r"extract  renting  \d s", said[0])
    assert re.match(r"extract  waiting until the machine answers  \d s", said[1])


def test_what_a_shared_machine_costs_does_not_go_back_to_its_first_stage() -> None:
    terminal = Terminal()
    with ProgressDisplay(terminal, PLAIN, quiet=False) as live:
        for event in EVENTS:
            live.observe(*event)
        wait_until(lambda: "0.0577 EUR" in terminal.last(), "the money is shown")
        line = terminal.last()
        live.observe("extract", machine("gone", cost="0.0577"))
        wait_until(lambda: "hetzner" not in terminal.last(), "the machine has left the line")
        after = terminal.last()

    assert re.match(r"transform  load 1/3 partitions  \d s", line)  # no room for a bar
    assert line.endswith("0.0577 EUR  hetzner cpx32 in fsn1")
    assert re.match(r"transform  load \[###-------\] 1/3 partitions  \d s", after)
    assert terminal.last() == "", "nothing of the line is left in the end"


def test_workers_side_by_side_share_the_line_and_each_message_names_its_own() -> None:
    terminal = Terminal()
    with ProgressDisplay(terminal, PLAIN, quiet=False) as display:
        for stage, done in (("extract (a)", 1), ("extract (b)", 2)):
            display.observe(stage, machine("created"))
            display.observe(stage, Progress(phase="fetch", done=done, total=9, unit="partitions"))
        wait_until(lambda: terminal.last().startswith("extract (a)  fetch"), "the first")
        wait_until(lambda: terminal.last().startswith("extract (b)  fetch"), "the second")
        display.observe("extract (a)", Log(level="warning", message="slow"))
        display.observe("extract", Log(level="warning", message="the bucket is away"))
        wait_until(lambda: shows(terminal, "extract (a)  fetch"), "both as before")
        assert "hetzner cpx32 in fsn1" in terminal.last()
        display.observe("extract (a)", machine("gone", cost="0.1"))
        display.observe("transform", Progress(phase="load", done=1, total=3, unit="partitions"))
        wait_until(lambda: shows(terminal, "transform  load"), "the next stage")

    said = terminal.getvalue()
    assert "rented hetzner cpx32 in fsn1 (materia-1-extract) for extract (b)\n" in said
    assert "warning: extract (a): slow\n" in said
    assert "extract" not in terminal.last()


@pytest.mark.parametrize("quiet", [False, True])
def test_without_a_terminal_only_money_and_warnings_are_told(quiet: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    stream = io.StringIO()
    with ProgressDisplay(stream, {}, quiet=quiet) as live:
        for event in [*EVENTS, ("extract", machine("gone", cost="0.0577"))]:
            live.observe(*event)

    warning = "warning: cpx22 is sold out; trying the next offer"
    rented = "rented hetzner cpx32 in fsn1 (materia-1-extract)"
    gone = "hetzner cpx32 in fsn1 is gone; it cost 0.0577 EUR"
    assert stream.getvalue().splitlines() == ([warning] if quiet else [warning, rented, gone])


def test_a_machine_of_ones_own_is_not_rented() -> None:
    stream = io.StringIO()
    with ProgressDisplay(stream, {}, quiet=False) as live:
        live.observe("extract", machine("created", hourly="0"))

    assert stream.getvalue() == ""


def test_for_programs_every_event_is_a_line() -> None:
    stream = io.StringIO()
    with EventLines(stream) as lines:
        for event in EVENTS:
            lines.observe(*event)

    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["stage"] for one in told] == [stage for stage, _ in EVENTS]
    assert [one["event"] for one in told[:4]] == ["log", "log", "instance", "instance"]
