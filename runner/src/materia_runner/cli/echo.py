"""Print the output of commands, without control characters."""

from __future__ import annotations

import typer
from materia.printable import printable


def echo(text: str, *, err: bool = False) -> None:
    """Write *text* and a newline to standard output, or standard error."""
    typer.echo(printable(text), err=err)
