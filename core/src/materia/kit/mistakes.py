"""Collect the mistakes in several settings, to report all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from materia.errors import ConfigError

__all__ = ["Mistakes"]


class Mistakes:
    """The mistakes of the blocks under `kept`, for `finish` to raise together."""

    def __init__(self) -> None:
        self._found: list[str] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the ConfigError of a block, and go on after it."""
        try:
            yield
        except ConfigError as error:
            self._found += map(str, error.args)

    def finish(self) -> None:
        """Raise one ConfigError with every mistake, if there is any."""
        if self._found:
            raise ConfigError(*self._found)
