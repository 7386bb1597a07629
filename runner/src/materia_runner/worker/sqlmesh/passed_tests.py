"""Unit tests of SQLMesh models: skip them when the same tests passed on the same models before.

A table beside SQLMesh's state keeps a fingerprint of what the tests depend on: the files of the
projects (models, macros, audits, seeds, external tables, tests and configuration), Python, and the
version of every installed package; and a hash of each test (see `unit_tests.reached_tests`). It
goes with the state: a state that is dropped takes it along. The table comes with the database, from
a bucket or a rented machine; a forged one can skip tests and nothing else.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from materia.kit.sql import literal

from materia_runner.worker.sqlmesh.fingerprint import models_fingerprint
from materia_runner.worker.sqlmesh.state import STATE

if TYPE_CHECKING:
    from sqlmesh import Context

PASSED = "_materia_passed_tests"
SKIPPED = "unit tests skipped (no model, macro, test or package changed since they passed)"
UNREACHED = "unit tests skipped (none of them reaches what changed since they passed)"


def fingerprint_of_tests(projects: Iterable[Path]) -> str:
    """Hash what the outcome of the unit tests of *projects* depends on; in hex."""
    parts = [models_fingerprint(projects), sys.version, platform.machine(), *_packages()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _packages() -> list[str]:
    """Names of the folders with name and version that installed packages have in `sys.path`."""
    folders = [folder for folder in map(Path, sys.path) if folder.is_dir()]
    return sorted({entry.name for folder in folders for entry in folder.glob("*.dist-info")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What a database says about unit tests that passed.

    Attributes:
        fingerprint: Of all the tests that passed together; empty when there were none.
        hashes: Of each of them, without Python and the packages that they passed with.
    """

    fingerprint: str = ""
    hashes: frozenset[str] = frozenset()


def passed_before(database: Path, state: str = STATE) -> Passed:
    """The tests that passed in *database* with the Python and the packages of this process."""
    import duckdb

    with duckdb.connect(str(database)) as connection:
        try:
            rows = connection.execute(
                f"SELECT fingerprint, packages, hashes FROM {state}.{PASSED}"
            ).fetchall()
            ((fingerprint, packages, hashes),) = rows
        except (duckdb.Error, ValueError):  # the first run, or a database from anywhere
            return Passed()
    here = packages == fingerprint_of_tests(())
    return Passed(
        fingerprint=str(fingerprint), hashes=frozenset(str(hashes).split()) if here else frozenset()
    )


def note_passed(
    context: Context, fingerprint: str, hashes: Iterable[str], state: str = STATE
) -> None:
    """Keep in the database of *context*, which has a state, that these tests passed."""
    adapter = context.engine_adapter
    adapter.execute(
        f"CREATE OR REPLACE TABLE {state}.{PASSED} AS SELECT {literal(fingerprint)} AS fingerprint,"
        f" {literal(fingerprint_of_tests(()))} AS packages, {literal(' '.join(hashes))} AS hashes"
    )
