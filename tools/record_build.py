"""Recorded build of the SQLMesh project: make the file that is shipped with it anew.

    uv run --group dev python tools/record_build.py [RECORDED_BUILD]

SQLMesh tests and builds the models once, on the source's sample. Run it (`make recorded-build`)
after a change of a model, a seed, an audit, a unit test, SQLMesh, DuckDB, or the code that builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from materia_runner.worker.sqlmesh.fingerprint import RECORDED_BUILD
from materia_runner.worker.sqlmesh.passed_tests import passed_before
from materia_runner.worker.sqlmesh.recorded.find_build import fetching, opened
from materia_runner.worker.sqlmesh.recorded.first_build import first_build_of
from materia_runner.worker.sqlmesh.recorded.recorded_build import hash_of_state, load
from materia_runner.worker.sqlmesh.recorded.shipped_build import (
    ShippedBuild,
    shipped_fingerprint,
    write,
)

ROOT = Path(__file__).resolve().parents[1]
PROJECT = Path("transform/sqlmesh_materia")
LEFT_OUT = shutil.ignore_patterns(RECORDED_BUILD, ".cache", "logs", "__pycache__", "*.duckdb*")
SOURCE = ROOT / "plugins/sources/psdonline/src/materia_psdonline/models"


def shipped_build(database: Path, builds: Path) -> ShippedBuild:
    """The build to ship, of the first build of *database* and the only file in *builds*.

    Raises:
        SystemExit: SQLMesh's build was not recorded.
    """
    found = [load(path) for path in builds.glob("*.json")]
    build = found[0] if len(found) == 1 else None
    if build is None:
        raise SystemExit(f"{len(found)} builds were recorded instead of one: see docs/models.md")
    tests = tuple(sorted(passed_before(database).hashes))
    with opened(database) as connection:
        fetchall = fetching(connection)
        return ShippedBuild(
            fingerprint=shipped_fingerprint((SOURCE, ROOT / PROJECT)),
            definitions=hash_of_state(fetchall),
            first=first_build_of(fetchall, build),
            build=build,
            tests=tests,
        )


def main() -> None:
    """Build the sample without a recorded build, and write the file."""
    target = Path(sys.argv[1]) if sys.argv[1:] else ROOT / PROJECT / RECORDED_BUILD
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(
            ROOT / PROJECT,
            folder / PROJECT,
            ignore=shutil.ignore_patterns(
                RECORDED_BUILD, ".cache", "logs", "__pycache__", "*.duckdb*"
            ),
        )
        subprocess.run(
            [Path(sys.executable).with_name("materia"), "run", "--sample", "--quiet"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder / "home")},
            check=True,
        )
        builds = folder / "home/.cache/materia/builds"
        write(target, shipped_build(folder / "materia.duckdb", builds))
    print(f"{target}: {target.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
