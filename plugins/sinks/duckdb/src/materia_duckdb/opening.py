"""A DuckDB file, opened and removed; what DuckDB says of one that cannot be opened."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import BusyError, SinkError

from materia_duckdb.publication import REMEDY

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HELD = re.compile(r"lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
OTHER_CONFIGURATION = "different configuration than existing connections"


@contextmanager
def opened(
    path: Path, *, read_only: bool, shown: object = None, remedy: str = REMEDY
) -> Iterator[DuckDBPyConnection]:
    """A connection to *path*, which messages call *shown*; *remedy* when it is of no use.

    Raises:
        BusyError: another process has it open.
        SinkError: it cannot be read, or something went wrong while it was open.
    """
    import duckdb

    where = shown or path
    try:
        connection = duckdb.connect(path, read_only=read_only)
    except duckdb.Error as error:
        raise _cannot_open(where, error, folder=path.is_dir(), remedy=remedy) from error
    try:
        yield connection
    except duckdb.Error as error:
        raise SinkError(
            f"{where}: {_sentence(error)}; what is published is unharmed: see to it and run again"
        ) from error
    finally:
        connection.close()


def log(path: Path) -> Path:
    """Where DuckDB keeps what is not yet in the file."""
    return path.with_name(f"{path.name}.wal")


def remove(path: Path) -> None:
    """Remove a database with all that DuckDB puts beside it; it need not be there."""
    path.unlink(missing_ok=True)
    log(path).unlink(missing_ok=True)
    shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)  # DuckDB spills into it


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an error of the system into one that says where and what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise SinkError(
            f"{where}: {error.strerror or error}; what is published is unharmed: "
            "see to it and run again"
        ) from error


def _cannot_open(
    where: object, error: Exception, *, folder: bool, remedy: str
) -> BusyError | SinkError:
    """DuckDB has one class for all of this; its words are the only way to tell them apart."""
    message = str(error)
    if held := HELD.search(message):
        program = Path(held["program"]).name
        return BusyError(
            f"{where}: is open in {program} (PID {held['pid']}); close it there and run again: "
            "nothing was changed"
        )
    if "Could not set lock" in message:
        return BusyError(f"{where}: is open in another process; close it there and run again")
    if OTHER_CONFIGURATION in message:
        return BusyError(f"{where}: is still open in this process (PID {os.getpid()})")
    if folder:
        return SinkError(f"{where}: is a folder; {remedy}")
    return SinkError(f"{where}: cannot be read as a database ({_sentence(error)}); {remedy}")


def _sentence(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".!")
