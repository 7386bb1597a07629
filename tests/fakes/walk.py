"""A page of docs as a new user follows it: its files are written, its commands are run.

A block of code below a comment with a file's name is that file. Of a block ```console, each line
that begins with `$ ` is run, and the lines below it must be in the output; `...` stands for others.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = re.compile(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MATERIA = ["uv", "run", "materia"]
Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page, and the lines that its output must have."""

    command: str
    shown: tuple[str, ...]


def files(page: str) -> dict[str, str]:
    """The text of each file of the page."""
    return dict(FILE.findall(page))


def steps(page: str) -> Iterator[Step]:
    """The commands of the page, in order."""
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        for part in block.removeprefix("$ ").split("\n$ "):
            command, *shown = part.strip().splitlines()
            yield Step(command, tuple(line.strip() for line in shown if line != "..."))


def walk(page: str, run: Run, folder: Path, skip: tuple[str, ...] = ()) -> list[str]:
    """Follow the page: *run* gets the arguments of `materia`; returns the commands that were run.

    Commands that begin with one of *skip* are left out.
    """
    done = []
    for step in steps(page):
        words = shlex.split(step.command)
        if words[:3] == MATERIA:
            if " ".join(words[3:]).startswith(skip or ("-",)):
                continue
            ended = run(*words[3:])
        elif words[:2] == ["uv", "sync"]:
            assert set(words[4::2]) <= extras(), step.command
            continue
        else:
            ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{step.command}\n{ended.stdout}\n{ended.stderr}"
        for line in step.shown:
            assert line in ended.stdout, f"{step.command}\n{ended.stdout}"
        done.append(" ".join(words))
    return done


def extras() -> set[str]:
    """The extras that a clone can be given."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


def sums(page: str, heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without its first two lines."""
    table = page.partition(f"## {heading}\n")[2].partition("\n| ")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
