from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.printable import on_one_line, printable, printable_all
from materia_runner.cli import main as cli
from materia_runner.cli.output.text import table

COMMANDS = Path(str(cli.__file__)).parent
# Modules that draw on a terminal themselves, and clean what they draw.
DRAW = {"echo.py", "live.py", "waiting.py", "main.py"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07done", "done"),
        ("\x1b]0;title\x1b\\done", "done"),
        ("\x1b[2J\x1b[1;1H\x1b[32mfine\x1b[0m", "fine"),
        ("\x1b]8;;http://evil\x07click\x1b]8;;\x07", "click"),
        ("\x9b2Jfine\x9d0;title\x9c", "fine"),
        ("\x1bP1$r\x1b\\\x1b(Bfine\x1bc", "fine"),
        ("\x1b]0;never ended", "0;never ended"),
        ("a\x00b\x08c\x7fd\x85e\x1b", "abcd\ne"),
        ("evil\u202egpj.exe\u2066\u200b\ufeff", "evilgpj.exe"),
        ("half \ud800", "half \ufffd"),
        ("10 %\r100 %\r\nend", "10 %\n100 %\nend"),
        ("tab\tand\nnewline, ü, 日本, 👍️, é", "tab\tand\nnewline, ü, 日本, 👍️, é"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(), max_size=60))
def test_nothing_unseen_is_left_but_newlines_and_tabs(text: str) -> None:
    left = printable(text)

    assert not any(one < " " or "\x7f" <= one <= "\x9f" for one in left if one not in "\n\t")
    assert "\u202e" not in left
    left.encode()
    assert printable(left) == left
    assert "\n" not in on_one_line(text)


def test_every_text_of_json_is_cleaned() -> None:
    value = {"a\x1b[2J": ["\x07b", {"c": ("\u202ed", 3)}]}

    assert printable_all(value) == {"a": ["b", {"c": ("d", 3)}]}


def test_a_name_makes_no_row_of_its_own_in_a_table() -> None:
    lines = table([("a\nb", "c\x1b[2J")], head=("one", "two")).splitlines()

    assert lines == ["one  two", "a b  c"]


def test_no_command_writes_to_the_terminal_but_through_the_one_way() -> None:
    found = []
    for path in COMMANDS.rglob("*.py"):
        if path.name in DRAW:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                writes = name.startswith(("sys.stdout.", "sys.stderr.", "sys.__std"))
                if name in {"print", "typer.echo", "typer.secho"} or (
                    writes and not name.endswith(".isatty")
                ):
                    found.append(f"{path.name}: {name}")
    assert found == []
