"""Text for people: on one line, without control characters, with the name that was meant."""

from __future__ import annotations

from materia.forms import FILE_NAME, SHA256
from materia.printable import on_one_line, printable
from materia.text import suggestion, together

__all__ = ["FILE_NAME", "SHA256", "on_one_line", "printable", "suggestion", "together"]
