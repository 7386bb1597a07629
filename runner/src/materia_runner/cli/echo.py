"""Print the output of commands, without control characters, and wrapped at words on a terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import typer
from materia.printable import printable

if TYPE_CHECKING:
    from typing import TextIO


class Whole(str):
    """Text for a program, a shell or a file: a terminal gets its lines as they are."""

    __slots__ = ()


def echo(text: str, *, err: bool = False) -> None:
    """Write *text* and a newline to standard output, or standard error."""
    shown = printable(text)
    if not isinstance(text, Whole):
        shown = wrapped_for(sys.stderr if err else sys.stdout, shown)
    typer.echo(shown, err=err)


def wrapped_for(stream: TextIO | None, text: str) -> str:
    """*text* with its lines wrapped at words for the terminal behind *stream*, if it is one."""
    if stream is None or not stream.isatty():
        return text
    import os
    import shutil

    columns = shutil.get_terminal_size().columns
    if not os.environ.get("COLUMNS"):
        with contextlib.suppress(OSError, ValueError):  # it may have no descriptor of its own
            columns = os.get_terminal_size(stream.fileno()).columns or columns
    if all(len(line) <= columns for line in text.splitlines()):
        return text
    from materia_runner.cli.output.text import wrapped

    return wrapped(text, columns)
