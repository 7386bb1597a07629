"""Builds of SQLMesh models: one for all processes of the tests, or one that a test kills."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pytest
from fakes.made_once import made_once
from fakes.releases import Releases
from materia_runner.worker.sqlmesh.build import TransformReport, TransformRequest, transform

PROGRAM = """
import sys
from datetime import date
from pathlib import Path
from materia_runner.worker.sqlmesh.build import TransformRequest, transform
transform(TransformRequest(
    database=Path(sys.argv[1]),
    projects=tuple(map(Path, sys.argv[2:4])),
    affected=tuple(map(date.fromisoformat, sys.argv[4:])),
    progress=lambda *step: print(*step, flush=True),
))
"""


def built_once(
    factory: pytest.TempPathFactory,
    name: str,
    projects: tuple[Path, ...],
    publish: Callable[[Releases], None],
) -> tuple[Releases, TransformReport]:
    """Releases that *publish* put in place and one build of them, to be read or copied.

    A build of the models takes ten seconds of a processor.
    """

    def make(folder: Path) -> None:
        releases = Releases(folder)
        publish(releases)
        affected = releases.load().affected
        report = transform(
            TransformRequest(
                database=releases.database,
                projects=projects,
                affected=affected,
                recordings=folder / "builds",
            )
        )
        (folder / "made").write_bytes(pickle.dumps((releases, report)))

    text = (made_once(factory, name, make) / "made").read_bytes()
    made: tuple[Releases, TransformReport] = pickle.loads(text)  # noqa: S301 -- our own
    return made


def killed_behind(
    model: str, *, database: Path, projects: Sequence[Path], affected: Sequence[date]
) -> None:
    """Begin to build, and kill that as soon as *model* is built."""
    days = [f"{day}" for day in affected]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, database, *projects, *days],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith(f"{model} "):
                break
        else:
            raise AssertionError(f"{model} was not built")
        time.sleep(0.01)
        child.kill()
