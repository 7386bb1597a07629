"""A run on a terminal shows its plan and asks before it rents; a program is not asked."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from collections.abc import Mapping

import pytest
from fakes.workshop import Workshop

QUESTION = "Rent these machines and run? [y/N]: "
DECLINED = "materia: the plan was declined; no machine was rented"
RUN = ("run", "--sample", "--provider", "stubborn")
WITHOUT_UV = {"PATH": "/usr/bin:/bin"}
GONE_ON = "uv is not installed"  # it is what the run needs next


@pytest.fixture
def stubborn(workshop: Workshop) -> Workshop:
    """A provider with an offer, for whose machines nothing can be packed: there is no uv."""
    workshop.install("stubborn", "fakes.stubborn")
    return workshop


def answered(
    workshop: Workshop,
    answer: str | signal.Signals,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run on a terminal, give *answer* to the question when it comes, and read to the end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        workshop.command(*arguments),
        cwd=workshop.directory,
        env=workshop.environment(TERM="xterm", **{**WITHOUT_UV, **(environment or {})}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    asked = False
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        try:
            while True:
                if came := select.select([terminal], [], [], 3)[0]:
                    shown += terminal.read(1 << 16)
                if asked and came:
                    continue
                if QUESTION.encode() not in shown or (asked and isinstance(answer, str)):
                    continue
                asked = True
                if isinstance(answer, str):
                    terminal.write(answer.encode())
                else:  # again, if it came after the question and before the wait for an answer
                    process.send_signal(answer)
        except OSError:  # Linux says so when the far side has closed
            pass
    return process.wait(), shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "enter", "end of input"])
def test_what_is_no_yes_rents_nothing(stubborn: Workshop, answer: str) -> None:
    code, shown = answered(stubborn, answer, *RUN)

    assert code == 4
    assert shown.count(QUESTION) == 1
    assert shown.index("chosen") < shown.index(QUESTION)
    assert DECLINED in shown
    assert GONE_ON not in shown
    assert "declined" in stubborn.run("runs").stdout + stubborn.run("runs", "show").stdout


def test_a_yes_goes_on(stubborn: Workshop) -> None:
    code, shown = answered(stubborn, "y\n", *RUN)

    assert shown.count(QUESTION) == 1
    assert code == 1
    assert GONE_ON in shown


def test_ctrl_c_at_the_question_ends_the_run(stubborn: Workshop) -> None:
    code, shown = answered(stubborn, signal.SIGINT, *RUN)

    assert code == 130
    assert QUESTION in shown
    assert "nothing is left half done" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("more", "environment"),
    [(("--yes",), {}), (("-y",), {}), (("--json",), {}), ((), {"CI": "true"})],
    ids=["--yes", "-y", "--json", "CI"],
)
def test_without_a_need_or_a_way_to_answer_nothing_is_asked(
    stubborn: Workshop, more: tuple[str, ...], environment: Mapping[str, str]
) -> None:
    code, shown = answered(stubborn, "n\n", *RUN, *more, environment=environment)

    assert QUESTION not in shown
    assert code == 1
    assert GONE_ON in shown


def test_without_a_terminal_nothing_is_asked(stubborn: Workshop) -> None:
    ended = stubborn.run(*RUN, environment=WITHOUT_UV)

    assert QUESTION not in ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert GONE_ON in ended.stderr


def test_a_run_on_this_machine_asks_nothing(run_folders: Workshop) -> None:
    code, shown = answered(run_folders, "n\n", "run")

    assert code == 0, shown
    assert QUESTION not in shown
