"""Marks in the state folder: which copies of runs are not complete in the bucket yet.

The mark of a run that was started here is empty. That of another computer's run has the ETag of the
copy that the ledger here was read from: only that copy may be replaced from here.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from materia.errors import ConfigError
from materia.kit.files import PART, write_whole

from materia_runner.ledger.state import RUN

ELSEWHERE = "elsewhere "  # the ETag follows
LOCK = ".lock"


class CopyMarks:
    """The marks of one pipeline; every method raises ConfigError when the folder is unusable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mark(self, run: str) -> None:
        """Mark a run; a mark that it has stays as it is."""
        self._touch(run)

    def mark_elsewhere(self, run: str, etag: str = "") -> None:
        """Mark another computer's run; without an ETag its copy is read again before a write."""
        mark = self._touch(run)
        try:
            write_whole(mark, f"{ELSEWHERE}{etag}", mode=0o600)
        except OSError as error:
            raise _unwritable(error, mark) from error

    def read_from(self, run: str) -> str | None:
        """The ETag of the copy that was read, maybe empty; None when the run was started here."""
        with suppress(FileNotFoundError):
            text = (self._folder / run).read_text()
            if text.startswith(ELSEWHERE):
                return text.removeprefix(ELSEWHERE)
        return None

    def remove(self, run: str) -> None:
        """Remove a mark; nothing happens when there is none."""
        (self._folder / run).unlink(missing_ok=True)

    def every(self) -> tuple[str, ...]:
        """The runs that are marked, sorted."""
        with suppress(FileNotFoundError):
            names = sorted(self._folder.iterdir())
            return tuple(
                one.name for one in names if RUN.fullmatch(one.name) and one.suffix != PART
            )
        return ()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from changing a mark and the ledger's entries of a run apart."""
        lock = self._touch(LOCK)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _touch(self, name: str) -> Path:
        path = self._folder / name
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            raise _unwritable(error, path) from error
        return path


def _unwritable(error: OSError, path: Path) -> ConfigError:
    return ConfigError(
        f"cannot write to the state folder, {error.filename or path}: {error.strerror or error}"
    )
