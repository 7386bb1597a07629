"""What this process knows and must not say: hidden in its last words, whoever they come from.

The rest of what is said is cleaned where it is made. An error that nobody expected, of an SDK or a
plugin, goes up to `main` as it is, and a traceback has its words.
"""

from __future__ import annotations

from collections.abc import Iterable

_values: set[str] = set()


def know(values: Iterable[str]) -> None:
    """Hide these, too, from now on."""
    _values.update(values)


def unsaid(text: str) -> str:
    """The text with all of them hidden."""
    if not _values:
        return text
    from materia_runner.secrets.redaction import redact

    return redact(text, _values)
