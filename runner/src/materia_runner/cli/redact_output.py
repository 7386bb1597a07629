"""Redact secrets in error messages and tracebacks that `main` prints.

Other output is redacted where it is made. An unexpected error of an SDK or a plugin reaches `main`
unchanged, and its text is in the traceback.
"""

from __future__ import annotations

from collections.abc import Iterable

_values: set[str] = set()


def know(values: Iterable[str]) -> None:
    """Redact these values, too, from now on."""
    _values.update(values)


def unsaid(text: str) -> str:
    """The text with all known values redacted."""
    if not _values:
        return text
    from materia_runner.secrets.redaction import redact

    return redact(text, _values)
