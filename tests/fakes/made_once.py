"""What several tests only read and what takes long to make, made once for all processes of a run.

Tests run in several processes, and a fixture of a session makes what it makes in each of them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder *name*, which *make* filled for the first process that asked; others wait.

    It has the same path in all of them. When *make* raised, the next to ask makes it in another.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    note = shared / f"{name} is at"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if note.exists():
            return Path(note.read_text())
        folder = factory.mktemp(name)
        make(folder)
        note.write_text(str(folder))
        return folder
