"""Plugin warnings: turn log warnings of plugins into warnings of the run.

A plugin that succeeded, but could not do something optional, calls
`logging.getLogger("materia.sinks.acme").warning(...)`. Log messages of other libraries are ignored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from materia_runner.messages.events import Event, Log
from materia_runner.secrets.redaction import redact

LOGGER = "materia"


class _WarningHandler(logging.Handler):
    def __init__(self, emit: Callable[[Event], None], hidden: Sequence[str]) -> None:
        super().__init__(logging.WARNING)
        self._tell = emit
        self._hidden = hidden

    def emit(self, record: logging.LogRecord) -> None:
        message = redact(record.getMessage(), self._hidden)
        self._tell(Log(level="warning", message=message))


@contextmanager
def plugin_warnings(emit: Callable[[Event], None], hidden: Sequence[str]) -> Iterator[None]:
    """Emit the warnings of plugins during the block, with the secrets *hidden* redacted."""
    logger, handler = logging.getLogger(LOGGER), _WarningHandler(emit, hidden)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
