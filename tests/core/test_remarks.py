"""What a source remarks on files that are used: said, kept, and no reason to fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.workshop import Workshop
from materia_runner.messages.events import Event, Log
from materia_runner.messages.partition_problems import SHOWN, Problem, warn


def remarked(folders: Workshop) -> tuple[Path, Path]:
    """Two files, one of which is remarked on when it is fetched, the other when it is loaded."""
    return (
        folders.write("in/2024-03.csv", "#remark names half of the fruit\napples,6\n"),
        folders.write("in/2024-04.csv", "#load-remark has lost its pears\napples,6\n"),
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, str]:
    """Folders with such files after a run, and what the run said on the terminal."""
    folders = Workshop(tmp_path_factory.mktemp("remarked"))
    folders.pipe_folders()
    remarked(folders)
    ended = folders.run("run")
    assert ended.returncode == 0, ended.stderr
    return folders, ended.stderr


def test_a_remark_is_a_warning_on_the_terminal_and_no_failure(ran: tuple[Workshop, str]) -> None:
    folders, said = ran
    into = (folders.directory / "in").as_uri()

    assert said.splitlines() == [
        f"warning: 2024-03: {into}/2024-03.csv: names half of the fruit",
        f"warning: 2024-04: {into}/2024-04.csv: has lost its pears",
    ]


def test_a_remark_is_in_the_report_for_programs(folders: Workshop) -> None:
    fetched, loaded = remarked(folders)

    ended = folders.run("run", "--json")

    extract, transform = json.loads(ended.stdout)["stages"]
    assert extract["result"]["remarks"] == [
        {
            "source": "",
            "partition": "2024-03",
            "url": fetched.as_uri(),
            "reason": "names half of the fruit",
        }
    ]
    assert transform["result"]["remarks"] == [
        {
            "source": "",
            "partition": "2024-04",
            "url": loaded.as_uri(),
            "reason": "has lost its pears",
        }
    ]


def test_a_remark_is_in_the_ledger(ran: tuple[Workshop, str]) -> None:
    folders, _ = ran
    into = (folders.directory / "in").as_uri()

    page = folders.run("runs", "show").stdout
    values: dict[str, Any] = json.loads(folders.run("runs", "show", "--json").stdout)

    assert f"    warning: 2024-03: {into}/2024-03.csv: names half of the fruit\n" in page
    assert f"    warning: 2024-04: {into}/2024-04.csv: has lost its pears\n" in page
    assert [stage["result"]["remarks"][0]["partition"] for stage in values["stages"]] == [
        "2024-03",
        "2024-04",
    ]


def test_of_very_many_remarks_some_are_shown_and_the_rest_counted() -> None:
    heard: list[Event] = []

    warn(
        [Problem(partition=f"{n:03}", url="", reason="is odd") for n in range(SHOWN + 5)],
        heard.append,
    )

    last = heard.pop()
    assert [event.message for event in heard if isinstance(event, Log)] == [
        f"{n:03}: is odd" for n in range(SHOWN)
    ]
    assert isinstance(last, Log)
    assert last.message.startswith("5 more partitions have warnings")
