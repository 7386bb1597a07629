"""Builds of SQLMesh models in a process of their own, which a test kills."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

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
