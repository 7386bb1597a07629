"""SQLite schema of the ledger: tables, version of an old or a newer file, translated errors.

There is one version so far, so no old ledger has to be migrated. `columns.py` ignores a column
without a field, and a field without a column gets its default.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from materia.errors import ConfigError, LedgerError

VERSION = 1
BUSY_SECONDS = 10.0  # a write takes milliseconds
# Only one open machine has a name; refused machines and machines that are gone stay on record.
SCHEMA = """
CREATE TABLE runs (
    run TEXT PRIMARY KEY, started_at TEXT NOT NULL, source TEXT NOT NULL, sink TEXT NOT NULL,
    providers TEXT NOT NULL, directory TEXT NOT NULL, sample INTEGER NOT NULL,
    pid INTEGER NOT NULL, host TEXT NOT NULL, version TEXT NOT NULL, max_cost TEXT,
    state TEXT NOT NULL, ended_at TEXT, error TEXT, plan TEXT
);
CREATE TABLE machines (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, run TEXT NOT NULL REFERENCES runs (run),
    stages TEXT NOT NULL, provider TEXT NOT NULL, region TEXT NOT NULL,
    instance_type TEXT NOT NULL, offer TEXT NOT NULL, estimate TEXT NOT NULL, worst TEXT NOT NULL,
    expires_at TEXT NOT NULL, intended_at TEXT NOT NULL, zone TEXT NOT NULL, state TEXT NOT NULL,
    id TEXT NOT NULL, host TEXT, created_at TEXT, ready_at TEXT, destroying_at TEXT, gone_at TEXT,
    cost TEXT, lines TEXT NOT NULL, reason TEXT
);
CREATE INDEX machines_of_run ON machines (run);
CREATE INDEX machines_by_time ON machines (intended_at);
CREATE UNIQUE INDEX open_machines ON machines (name) WHERE state NOT IN ('gone', 'refused');
CREATE TABLE stages (
    run TEXT NOT NULL REFERENCES runs (run), stage TEXT NOT NULL, attempt INTEGER NOT NULL,
    machine TEXT NOT NULL, provider TEXT NOT NULL, started_at TEXT NOT NULL, expected REAL,
    state TEXT NOT NULL, ended_at TEXT, result TEXT, error TEXT,
    PRIMARY KEY (run, stage, attempt)
);
CREATE TABLE notes (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (run), at TEXT NOT NULL,
    stage TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX notes_of_run ON notes (run);
"""


def open_file(path: Path) -> sqlite3.Connection:
    """Open the ledger's file, and create it when missing.

    Raises:
        ConfigError: it cannot be opened, or a newer materia wrote it.
        LedgerError: it is damaged.
    """
    with translated_errors(path):
        connection = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # the ledger begins and commits transactions itself
            check_same_thread=False,  # the ledger has its own lock
        )
        try:
            _refuse_newer(_version(connection) or _create(connection, path), path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(version: int, path: Path) -> None:
    if version > VERSION:
        raise ConfigError(
            f"{path}: a newer materia wrote this ledger (version {version}, this one reads "
            f"{VERSION}); update materia, or set MATERIA_STATE_DIR to another folder"
        )


def _create(connection: sqlite3.Connection, path: Path) -> int:
    """Create the tables, unless another process does so at the same time; returns the version."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # SQLite does not wait when two processes switch WAL on
        if version := _version(connection):
            return version
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")  # stored in the file: readers never wait
        connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
        )
        return VERSION


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Translate errors of SQLite into materia's, with a remedy.

    Raises:
        ConfigError: this user cannot open or write the file.
        LedgerError: any other error.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary result code
        if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
            raise ConfigError(
                f"cannot write the ledger {path}: {error}; make the file and its folder writable, "
                "or set MATERIA_STATE_DIR to another folder"
            ) from error
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise LedgerError(
                f"{path}: the ledger is damaged ({error}); move it away, and materia will start a "
                f"new one. To find machines without it: `materia sweep --all-providers`"
            ) from error
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise LedgerError(
                f"{path}: the ledger is locked: another process has held it for "
                f"{BUSY_SECONDS:.0f} s; try again"
            ) from error
        raise LedgerError(
            f"{path}: the ledger failed: {error}; check the disk, and run `materia sweep` when the "
            "file can be written again"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot write the ledger {path}: {error.strerror or error}; make its folder writable, "
            "or set MATERIA_STATE_DIR to another one"
        ) from error
