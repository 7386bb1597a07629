"""What reaches a terminal: words, once, whoever they come from."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess

import pytest
from fakes.examples import of_each_kind
from fakes.workshop import Workshop

# All that a terminal could take for more than a letter, but for newline and tab.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@pytest.fixture
def garish(workshop: Workshop) -> Workshop:
    workshop.install("garish", "fakes.garish")
    return workshop


COMMANDS = [
    ("providers", "price", "--provider", "garish"),
    ("providers", "list", "--provider", "garish"),
    ("providers", "price", "--provider", "garish", "--explain"),
    ("providers",),
    ("plan", "--provider", "garish"),
    ("run", "--sample", "--provider", "garish"),
    ("worker", "list", "--provider", "garish"),
    ("worker", "create", "--provider", "garish"),
    ("worker", "destroy", "materia-x"),
    ("sweep", "--provider", "garish"),
    ("sweep", "--provider", "garish", "--dry-run"),
    ("runs",),
    ("runs", "show"),
    ("plugins",),
]


@pytest.mark.parametrize("how", of_each_kind(["offers", "fails"], "offers"))
def test_nothing_that_an_api_says_is_more_than_words(garish: Workshop, how: str) -> None:
    garish.write("materia.toml", f'[providers.garish]\nhow = "{how}"\n')
    said = ""
    for command in COMMANDS:
        for more in ((), ("--json",)):
            ended = garish.run(*command, *more)
            words = ended.stdout + ended.stderr
            said += words
            assert UNSEEN.search(words) is None, (command, words)
            assert "Traceback" not in words, (command, words)
    ledger = garish.home / ".local" / "state" / "materia" / "ledger.db"

    assert "large" in said
    assert "red" in said
    assert not any(part in ledger.read_bytes() for part in (b"\x1b]0", "\u202e".encode()))


def test_a_failure_is_shown_once_on_a_terminal(folders: Workshop) -> None:
    for month in ("2024-01", "2024-02"):
        folders.write(f"in/{month}.csv", "#fail the server is down\n")
    shown = on_a_terminal(folders, "run")

    assert shown.count("materia: ") == 1
    assert shown.count("2024-01:") == 1, shown


def test_every_event_in_json_is_ascii(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#refuse \x7f\u202e\u009b\n")
    ended = folders.run("pipeline", "run", "extract", "--json")
    events = [line for line in ended.stderr.splitlines() if line.startswith("{")]

    assert len(events) > 2
    assert all(line.isascii() and line.isprintable() for line in events)
    assert all("event" in json.loads(line) for line in events)


def test_a_terminal_shows_each_step_of_a_run_with_the_time_it_takes(folders: Workshop) -> None:
    shown = on_a_terminal(folders, "run")

    lines = re.findall(r"(extract|transform)(?:\x1b\[0m)?  ([a-z ]+?)  (\d+ s)", shown)
    steps = [step for _, step, _ in lines]
    assert "start the worker" in steps
    assert {"prepare the models", "plan the build"} & set(steps)


def test_a_terminal_shows_that_the_worker_artifact_is_built(workshop: Workshop) -> None:
    """With a uv that takes its time, and then has no network."""
    workshop.install("stubborn", "fakes.stubborn")
    slow = workshop.write("bin/uv", "#!/bin/sh\nsleep 1\necho no network >&2\nexit 2\n")
    slow.chmod(0o755)

    path = f"{slow.parent}{os.pathsep}{os.environ['PATH']}"
    shown = on_a_terminal(workshop, "run", "--sample", "--provider", "stubborn", PATH=path)

    assert re.search(r"extract(?:\x1b\[0m)?  build the worker artifact  \d s", shown), shown
    assert shown.count("materia: ") == 1


def test_a_narrow_terminal_splits_no_word(workshop: Workshop) -> None:
    """Whichever way the words leave: standard output, or an error."""
    workshop.write("materia.toml", 'source = ["a"]\nsink = 7\n[budget]\nrun = "many"\n')
    for command in (("config", "check"), ("plan",), ("secrets", "list", "--all")):
        piped = workshop.run(*command)
        shown = on_a_terminal(workshop, *command, COLUMNS="40").replace("\x1b[K", "")

        words = (piped.stdout + piped.stderr).split()
        assert set(shown.split()) <= set(words), command
        assert len(shown.splitlines()) > len(piped.stderr.splitlines())
        assert all(len(line) <= 40 or len(line.split()) == 1 for line in shown.splitlines())


def on_a_terminal(workshop: Workshop, *arguments: str, **environment: str) -> str:
    """What a terminal is sent, when it is standard output and standard error."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        workshop.command(*arguments),
        cwd=workshop.directory,
        env=workshop.environment(TERM="xterm", **environment),
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while block := terminal.read(1 << 16):
                shown += block
        except OSError:  # Linux says so when the far side has closed
            pass
    process.wait()
    return shown.decode()
