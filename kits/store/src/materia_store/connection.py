"""Open and remove a DuckDB file safely, and explain why one cannot be opened: locked, damaged.

The file may come from a worker, which is trusted only with its stage. So it is opened in an
instance of DuckDB that reads and writes this one file, loads no extensions and has its
configuration locked.
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
# Alias of the empty database that is open in an instance of DuckDB before a file is. It is not
# `memory`, because a file may have that name.
NOTHING = "nothing is open"
# Endings of the files that DuckDB 1.5 writes beside a database.
BESIDE = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
# Idle instances of DuckDB, by the file that they may open: by its path and by what a symbolic link
# in that path leads to. To make an instance takes some ten times as long as to open a database in
# it.
_idle: dict[tuple[Path, Path, Path | None], list[DuckDBPyConnection]] = {}


@contextmanager
def opened(
    path: Path,
    *,
    read_only: bool,
    shown: object = None,
    remedy: str = REMEDY,
    writes_to: Path | None = None,
) -> Iterator[DuckDBPyConnection]:
    """Open the DuckDB file *path*; messages call it *shown* and end with *remedy* if it is damaged.

    With *writes_to* its `COPY` can write files into that folder.

    Raises:
        BusyError: another process has it open.
        SinkError: it cannot be read, or DuckDB failed while it was open.
    """
    import duckdb

    where = shown or path
    idle = _idle.setdefault((path.absolute(), path.resolve(), writes_to), [])
    connection = idle.pop() if idle else _instance(path, writes_to)
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
                f"{where}: {_sentence(error)}; the published tables are unharmed: "
                "fix this and run again"
            ) from error
    finally:
        if closed and writes_to is None:
            idle.append(connection)
        else:
            connection.close()


def _instance(path: Path, writes_to: Path | None) -> DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"ATTACH ':memory:' AS {quoted(NOTHING)}")
    connection.execute(f"USE {quoted(NOTHING)}")
    connection.execute("DETACH memory")
    # Beside the database, as DuckDB does by default; DuckDB does not change it after a spill.
    connection.execute(f"SET temp_directory = {literal(f'{path}.tmp')}")
    names = dict.fromkeys((str(path), str(path.absolute()), str(path.resolve())))
    allowed = ", ".join(literal(name + end) for name in names for end in BESIDE)
    connection.execute(f"SET allowed_paths = [{allowed}]")
    if writes_to is not None:
        connection.execute(f"SET allowed_directories = [{literal(str(writes_to))}]")
    for setting, value in LOCKED.items():
        connection.execute(f"SET {setting} = {value}")
    return connection


def _attach(connection: DuckDBPyConnection, path: Path, *, read_only: bool) -> str:
    """Open *path* and make it the database of *connection*; returns the name DuckDB gives it."""
    connection.execute(f"ATTACH {literal(str(path))} {'(READ_ONLY)' if read_only else ''}")
    found = connection.execute(
        "SELECT database_name FROM duckdb_databases() "
        f"WHERE NOT internal AND database_name <> {literal(NOTHING)}"
    ).fetchone()
    name = str(found[0]) if found else ""
    connection.execute(f"USE {quoted(name)}")
    return name


def log(path: Path) -> Path:
    """Path of the write-ahead log (WAL) of a DuckDB file."""
    return path.with_name(f"{path.name}.wal")


def remove(path: Path) -> None:
    """Remove a database and the files that DuckDB puts beside it, if they exist."""
    path.unlink(missing_ok=True)
    log(path).unlink(missing_ok=True)
    shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)  # DuckDB spills into it


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an OSError into a SinkError with the path, the reason and a remedy."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise SinkError(
            f"{where}: {error.strerror or error}; the published tables are unharmed: "
            "fix this and run again"
        ) from error


def _cannot_open(
    where: object, error: Exception, *, folder: bool, remedy: str
) -> BusyError | SinkError:
    """DuckDB has one class for all of these errors; only its message says which one it is."""
    message = str(error)
    if held := HELD.search(message):
        program = Path(held["program"]).name
        return BusyError(
            f"{where}: the database is open in {program} (PID {held['pid']}); close it there and "
            "run again: nothing was changed"
        )
    if "Could not set lock" in message:
        return BusyError(
            f"{where}: the database is open in another process; close it there and run again"
        )
    if any(words in message for words in HERE_ALREADY):
        return BusyError(f"{where}: the database is still open in this process (PID {os.getpid()})")
    if folder:
        return SinkError(f"{where}: is a folder, not a database; {remedy}")
    return SinkError(f"{where}: cannot be read as a database ({_sentence(error)}); {remedy}")


def _sentence(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".!")
