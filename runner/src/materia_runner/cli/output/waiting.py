"""Status line on a terminal: providers that have not answered yet."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Self

from materia.printable import on_one_line


class Waiting:
    """A status line that names providers without an answer; silent without a terminal."""

    def __init__(self) -> None:
        self._draws = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._write("")

    def show(self, names: Sequence[str]) -> None:
        """Replace the line by one with *names*."""
        self._write(f"waiting for {', '.join(names)}")

    def _write(self, text: str) -> None:
        if self._draws:
            sys.stderr.write(f"\r\x1b[K{on_one_line(text)}")
            sys.stderr.flush()
