"""Text for messages: strip control characters, put it on one line, suggest a name."""

from __future__ import annotations

from materia.forms import FILE_NAME, SHA256
from materia.printable import on_one_line, printable
from materia.text import suggestion, together

__all__ = ["FILE_NAME", "SHA256", "on_one_line", "printable", "suggestion", "together"]
