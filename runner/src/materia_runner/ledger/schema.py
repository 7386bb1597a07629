"""The file of the ledger: its tables, how it is opened, and what its faults mean."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from materia.errors import ConfigError, LedgerError

VERSION = 1
BUSY_SECONDS = 10.0  # a write takes milliseconds
# A name is of one open machine at a time; what was refused or is gone stays for the record.
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
    """The ledger's file, made when missing.

    Raises:
        ConfigError: it cannot be opened, or a newer materia wrote it.
        LedgerError: it is damaged.
    """
    with translated_errors(path):
        connection = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # transactions are written out
            check_same_thread=False,  # the ledger has a lock
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
            f"{path}: a newer materia wrote this ledger (version {version}, this one knows "
            f"{VERSION}); update materia, or name another folder in MATERIA_STATE_DIR"
        )


def _create(connection: sqlite3.Connection, path: Path) -> int:
    """Make the tables, unless another process does so at this moment; the version there is then."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # SQLite does not wait when two turn WAL on at once
        if version := _version(connection):
            return version
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")  # kept in the file: readers never wait
        connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
        )
        return VERSION


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Say what a fault of SQLite means for the user.

    Raises:
        ConfigError: the file cannot be opened or written by this user.
        LedgerError: any other fault.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it is detail
        if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
            raise ConfigError(
                f"materia cannot keep its records in {path}: {error}; make the file and its folder "
                f"writable, or name another folder in MATERIA_STATE_DIR"
            ) from error
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise LedgerError(
                f"{path}: the ledger is damaged ({error}); move it away, and a new one is begun. "
                f"Machines are found without it: materia sweep --all-providers"
            ) from error
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise LedgerError(
                f"{path}: another process has held the ledger for {BUSY_SECONDS:.0f} s; try again"
            ) from error
        raise LedgerError(
            f"{path}: the ledger failed: {error}; see to the disk, and run `materia sweep` when it "
            "can be written again"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"materia cannot keep its records in {path}: {error.strerror or error}; make the "
            f"folder writable, or name another one in MATERIA_STATE_DIR"
        ) from error
