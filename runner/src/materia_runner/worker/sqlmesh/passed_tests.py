"""Unit tests of SQLMesh models: skip them when the same tests passed on the same models before.

A table beside SQLMesh's state keeps a fingerprint of what the tests depend on: the files of the
projects (models, macros, audits, seeds, external tables, tests and configuration), Python, and the
version of every installed package. It goes with the state: a state that is dropped takes it along.
The table comes with the database, from a bucket or a rented machine; a forged one can skip tests
and nothing else.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from materia.kit.sql import literal

from materia_runner.worker.sqlmesh.fingerprint import models_fingerprint
from materia_runner.worker.sqlmesh.state import STATE

if TYPE_CHECKING:
    from sqlmesh import Context

PASSED = "_materia_passed_tests"
SKIPPED = "unit tests skipped (no model, macro, test or package changed since they passed)"


def fingerprint_of_tests(projects: Iterable[Path]) -> str:
    """Hash what the outcome of the unit tests of *projects* depends on; in hex."""
    parts = [models_fingerprint(projects), sys.version, platform.machine(), *_packages()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _packages() -> list[str]:
    """Names of the folders with name and version that installed packages have in `sys.path`."""
    folders = [folder for folder in map(Path, sys.path) if folder.is_dir()]
    return sorted({entry.name for folder in folders for entry in folder.glob("*.dist-info")})


def have_passed(database: Path, fingerprint: str, state: str = STATE) -> bool:
    """Whether *database* says that the tests with this fingerprint passed."""
    import duckdb

    with duckdb.connect(str(database)) as connection:
        try:
            rows = connection.execute(f"SELECT fingerprint FROM {state}.{PASSED}").fetchall()
        except duckdb.Error:  # the first run, or a database from anywhere
            return False
    return rows == [(fingerprint,)]


def note_passed(context: Context, fingerprint: str, state: str = STATE) -> None:
    """Keep in the database of *context*, which has a state, that these tests passed."""
    adapter = context.engine_adapter
    adapter.execute(
        f"CREATE OR REPLACE TABLE {state}.{PASSED} AS SELECT {literal(fingerprint)} AS fingerprint"
    )
