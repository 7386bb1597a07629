"""Exclude files from an artifact: the command line, the test kit and the emulators stay here.

A rented machine is billed while files are copied to it. Files that it never runs would also make
the artifact harder to inspect.
"""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import PurePosixPath

from materia_runner.artifact.dependencies import RUNNER, normalized

# The parts of the runner that a worker runs. `.importlinter` forbids them to import others.
SENT = (
    "__init__.py",
    "bundled.py",
    "codec.py",
    "install_hints.py",
    "messages",
    "opening.py",
    "py.typed",
    "secrets/__init__.py",
    "secrets/redaction.py",
    "ssh/__init__.py",
    "ssh/agent",
    "worker",
)
# The name of a module or package that is an emulator from there on.
EMULATOR = "emulator"


def is_sent(distribution: Distribution, path: PurePosixPath) -> bool:
    """Whether a worker needs the file of *distribution* at *path*."""
    if normalized(distribution.name) == RUNNER and path.parts[0] == "materia_runner":
        inside = path.relative_to("materia_runner")
        return any(inside.is_relative_to(kept) for kept in SENT)
    return not any(
        path.is_relative_to(module) or path == module.with_suffix(".py")
        for module in _emulators(distribution)
    )


def _emulators(distribution: Distribution) -> set[PurePosixPath]:
    """The modules that the entry points name, up to the part called `emulator`."""
    found = set()
    for point in distribution.entry_points.select(group="materia.emulators"):
        parts = point.module.split(".")
        end = parts.index(EMULATOR) + 1 if EMULATOR in parts else len(parts)
        found.add(PurePosixPath(*parts[:end]))
    # A plugin whose module is also its emulator is sent whole.
    declared = {
        point.module.split(".")[0] for point in distribution.entry_points.select(group="materia")
    }
    return {path for path in found if str(path) not in declared}
