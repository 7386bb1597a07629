"""Print the output of commands, without control characters, and wrapped at words on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer
from materia.printable import printable

if TYPE_CHECKING:
    from typing import TextIO

# An indented line with a command, to be copied: a shell takes a second line for another command.
COMMAND_LINE = r"\s+'?\S*\b(?:materia|uv|python[\d.]*|pip|cd)'? "
# What stands before the text of a line: a name or a time, with two spaces after it.
BEFORE_TEXT = r"\S+(?: \S+)?\s{2,}"
IN_BACKTICKS = r"`[^`\n]+`"
TOGETHER = "\x00"  # stands for a space that is no place to break; `printable` leaves none
INDENT = 2


class Whole(str):
    """Text for a program, a shell or a file: a terminal gets its lines as they are."""

    __slots__ = ()


def echo(text: str, *, err: bool = False) -> None:
    """Write *text* and a newline to standard output, or standard error."""
    shown = printable(text)
    if not isinstance(text, Whole):
        shown = wrapped_for(sys.stderr if err else sys.stdout, shown)
    typer.echo(shown, err=err)


def wrapped_for(stream: TextIO, text: str) -> str:
    """*text* with its lines broken at words for the terminal behind *stream*, if it is one."""
    if not stream.isatty():
        return text
    import os
    import shutil
    from contextlib import suppress

    columns = shutil.get_terminal_size().columns
    if not os.environ.get("COLUMNS"):
        with suppress(OSError, ValueError):  # it may have no descriptor of its own
            columns = os.get_terminal_size(stream.fileno()).columns or columns
    return wrapped(text, columns)


def wrapped(text: str, columns: int) -> str:
    """*text* with each line of more than *columns* characters broken at words.

    Further lines stand below the text of the first. Commands stay whole: one in backticks moves to
    the next line, and a line of its own is left as it is, as is a word that is too long.
    """
    return "\n".join(
        line if len(line) <= columns else _broken(line, columns) for line in text.split("\n")
    )


def _broken(line: str, columns: int) -> str:
    import re
    import textwrap

    if re.match(COMMAND_LINE, line):
        return line
    text = line.lstrip()
    indent = len(line) - len(text)
    before = re.match(BEFORE_TEXT, text)
    further = indent + (len(before.group()) if before else INDENT)
    if further > columns // 3:
        further = min(indent + INDENT, columns // 3)
    lines = textwrap.wrap(
        re.sub(IN_BACKTICKS, lambda found: found.group().replace(" ", TOGETHER), text),
        columns,
        initial_indent=" " * min(indent, columns // 3),
        subsequent_indent=" " * further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(TOGETHER, " ")
