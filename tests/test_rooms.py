"""Every folder of code is a room: small, with a line that says what it is for, and listed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNNER = ROOT / "runner/src/materia_runner"
MOST_FILES = 12
MOST_LINES_OF_CORE = 2_200  # a plugin author reads it in one go
SOURCES = sorted((*ROOT.glob("*/src"), *ROOT.glob("kits/*/src"), *ROOT.glob("plugins/*/*/src")))


def packages() -> Iterator[Path]:
    """Every folder of Python modules that a distribution brings."""
    for source in SOURCES:
        yield from sorted(file.parent for file in source.rglob("__init__.py"))


PACKAGES = [str(folder.relative_to(ROOT)) for folder in packages()]


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_room_has_at_most_twelve_files(folder: str) -> None:
    files = sorted(file.name for file in (ROOT / folder).glob("*.py"))

    assert len(files) <= MOST_FILES, files


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_room_says_in_one_line_what_it_is_for(folder: str) -> None:
    words = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text())) or ""

    first = words.partition("\n")[0]
    assert first.endswith((".", ":", ";")), first
    assert len(first) > 20, first


def test_core_stays_small() -> None:
    lines = sum(len(file.read_text().splitlines()) for file in (ROOT / "core/src").rglob("*.py"))

    assert lines <= MOST_LINES_OF_CORE


def test_every_path_of_the_architecture_page_is_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    folders = (ROOT, RUNNER, *SOURCES)
    paths = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", page)

    missing = [path for path in paths if not any((folder / path).exists() for folder in folders)]
    assert len(paths) > 25
    assert missing == []


def test_the_readme_of_the_runner_lists_its_rooms_and_no_others() -> None:
    listed = re.findall(
        r"^\| `([\w/]+)/` \|", (ROOT / "runner/README.md").read_text(), re.MULTILINE
    )
    rooms = sorted(
        str(file.parent.relative_to(RUNNER))
        for file in RUNNER.rglob("__init__.py")
        if file.parent != RUNNER
    )

    assert sorted(listed) == rooms
