"""What a plugin warns of becomes a warning of the run: logged, shown and kept with it.

A plugin that has done what was asked, and could not do something beside it, says so with
`logging.getLogger("materia.sinks.acme").warning(...)`; what other libraries log is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from materia_runner.messages.events import Event, Log
from materia_runner.secrets.redaction import redact

LOGGER = "materia"


class _Told(logging.Handler):
    def __init__(self, emit: Callable[[Event], None], hidden: Sequence[str]) -> None:
        super().__init__(logging.WARNING)
        self._tell = emit
        self._hidden = hidden

    def emit(self, record: logging.LogRecord) -> None:
        message = redact(record.getMessage(), self._hidden)
        self._tell(Log(level="warning", message=message))


@contextmanager
def plugin_warnings(emit: Callable[[Event], None], hidden: Sequence[str]) -> Iterator[None]:
    """Emit warnings of plugins until the block ends, without what is *hidden*."""
    logger, told = logging.getLogger(LOGGER), _Told(emit, hidden)
    logger.addHandler(told)
    try:
        yield
    finally:
        logger.removeHandler(told)
