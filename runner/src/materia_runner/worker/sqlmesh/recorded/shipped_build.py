"""Shipped build: a recorded build that comes with a SQLMesh project, for its very first run.

`make recorded-build` writes the file of the project in this repository. It is used while the files
of all projects, SQLMesh, sqlglot, DuckDB and materia's own code are those that it was made with,
whatever the computer and its Python; otherwise it counts as missing. It is part of the project, as
the macros of a project are: nothing is believed that comes with a database.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from materia.kit.files import replacing

from materia_runner.worker.sqlmesh.fingerprint import RECORDED_BUILD, models_fingerprint
from materia_runner.worker.sqlmesh.recorded.first_build import FirstBuild
from materia_runner.worker.sqlmesh.recorded.recorded_build import (
    RecordedBuild,
    build_from,
    made_with,
)

SKIPPED = "unit tests skipped (the models are as shipped, and passed them when they were recorded)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedBuild:
    """A recorded build for a database without models, and for one that it made.

    Attributes:
        fingerprint: Hash of what it was made from.
        definitions: Hash of the definitions in the SQLMesh state that it makes.
        first: What makes that state.
        build: The build itself.
        tests: Hashes of the unit tests that passed on its models.
    """

    fingerprint: str
    definitions: str
    first: FirstBuild
    build: RecordedBuild
    tests: tuple[str, ...]


def shipped_fingerprint(projects: Sequence[Path]) -> str:
    """Hash what a build of *projects* depends on, on any computer and Python; in hex."""
    return hashlib.sha256(f"{models_fingerprint(projects)} {made_with()}".encode()).hexdigest()


def shipped_with(projects: Sequence[Path]) -> ShippedBuild | None:
    """The build of *projects* that comes with one of them; None without one that fits."""
    for project in projects:
        path = project / RECORDED_BUILD
        if path.is_file() and (found := read(path)) is not None:
            return found if found.fingerprint == shipped_fingerprint(projects) else None
    return None


def shipped_tests(projects: Sequence[Path]) -> frozenset[str]:
    """Hashes of the unit tests that passed when builds of *projects* were recorded to be shipped.

    Those of models and tests that were edited since are of no use any more; the others are.
    """
    found = [read(project / RECORDED_BUILD) for project in projects]
    here = made_with()
    return frozenset(
        one for build in found if build and build.build.made_with == here for one in build.tests
    )


def read(path: Path) -> ShippedBuild | None:
    """The build in a file; None without a file that can be read."""
    try:
        values = json.loads(gzip.decompress(path.read_bytes()))
        first = values["first"]
        return ShippedBuild(
            fingerprint=str(values["fingerprint"]),
            definitions=str(values["definitions"]),
            first=FirstBuild(statements=tuple(first["statements"]), starts=dict(first["starts"])),
            build=build_from(values["build"]),
            tests=tuple(map(str, values["tests"])),
        )
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError):
        return None


def write(path: Path, shipped: ShippedBuild) -> None:
    """Write a build; the same build makes the same file."""
    text = json.dumps(asdict(shipped), ensure_ascii=False, indent=0)
    with replacing(path) as part:
        part.write_bytes(gzip.compress(text.encode(), mtime=0))
