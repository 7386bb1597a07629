"""A DuckDB file, opened and removed; what DuckDB says of one that cannot be opened.

The file may come from a machine that is trusted with its stage alone. So it is opened in an
instance of DuckDB that reads and writes this one file, loads nothing, and cannot be told otherwise.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import BusyError, SinkError
from materia.kit.sql import LOCKED, literal

from materia_store.publication import REMEDY, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "log",
    "naming",
    "opened",
    "remove",
]

HELD = re.compile(r"lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
HERE_ALREADY = ("different configuration than existing connections", "Unique file handle conflict")
# What is open in an instance of DuckDB before a database is: nothing. Not called `memory`, since a
# file of that name has the same right to be opened.
NOTHING = "nothing is open"
# What DuckDB 1.5 puts beside a database.
BESIDE = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
# Instances in which nothing is open, by the file that they may open. To have one takes some ten
# times as long as to open a database in it.
_idle: dict[Path, list[DuckDBPyConnection]] = {}


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
    idle = _idle.setdefault(path.absolute(), [])
    connection = idle.pop() if idle else _instance(path)
    closed = False
    try:
        try:
            name = _attach(connection, path, read_only=read_only)
        except duckdb.Error as error:
            raise _cannot_open(where, error, folder=path.is_dir(), remedy=remedy) from error
        try:
            yield connection
            connection.execute(f"USE {quoted(NOTHING)}")
            connection.execute(f"DETACH {quoted(name)}")
            closed = True
        except duckdb.Error as error:
            raise SinkError(
                f"{where}: {_sentence(error)}; what is published is unharmed: "
                "see to it and run again"
            ) from error
    finally:
        if closed:
            idle.append(connection)
        else:
            connection.close()


def _instance(path: Path) -> DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"ATTACH ':memory:' AS {quoted(NOTHING)}")
    connection.execute(f"USE {quoted(NOTHING)}")
    connection.execute("DETACH memory")
    # Beside the database, as if it had an instance of its own; one that has spilled stays there.
    connection.execute(f"SET temp_directory = {literal(f'{path}.tmp')}")
    names = dict.fromkeys((str(path), str(path.absolute()), str(path.resolve())))
    allowed = ", ".join(literal(name + end) for name in names for end in BESIDE)
    connection.execute(f"SET allowed_paths = [{allowed}]")
    for setting, value in LOCKED.items():
        connection.execute(f"SET {setting} = {value}")
    return connection


def _attach(connection: DuckDBPyConnection, path: Path, *, read_only: bool) -> str:
    """Open *path* and make it the database of *connection*; the name that DuckDB gives it."""
    connection.execute(f"ATTACH {literal(str(path))} {'(READ_ONLY)' if read_only else ''}")
    found = connection.execute(
        "SELECT database_name FROM duckdb_databases() "
        f"WHERE NOT internal AND database_name <> {literal(NOTHING)}"
    ).fetchone()
    name = str(found[0]) if found else ""
    connection.execute(f"USE {quoted(name)}")
    return name


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
    if any(words in message for words in HERE_ALREADY):
        return BusyError(f"{where}: is still open in this process (PID {os.getpid()})")
    if folder:
        return SinkError(f"{where}: is a folder; {remedy}")
    return SinkError(f"{where}: cannot be read as a database ({_sentence(error)}); {remedy}")


def _sentence(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".!")
