"""Which files of our own distributions stay here: the command line, the test kit, the emulators.

A file is copied to a rented machine while the machine is billed. One that nothing runs there is
also more to read for those who look at what was sent.
"""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import PurePosixPath

from materia_runner.artifact.dependencies import RUNNER, normalized

# What a worker runs of the runner. `.importlinter` holds these rooms to importing nothing else.
SENT = (
    "__init__.py",
    "bundled.py",
    "codec.py",
    "install_hints.py",
    "messages",
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
    """Whether a worker has a use for the file of *distribution* at *path*."""
    if normalized(distribution.name) == RUNNER and path.parts[0] == "materia_runner":
        inside = path.relative_to("materia_runner")
        return any(inside.is_relative_to(kept) for kept in SENT)
    return not any(
        path.is_relative_to(module) or path == module.with_suffix(".py")
        for module in _emulators(distribution)
    )


def _emulators(distribution: Distribution) -> set[PurePosixPath]:
    """The modules that the entry points name, each from the part that is called `emulator`."""
    found = set()
    for point in distribution.entry_points.select(group="materia.emulators"):
        parts = point.module.split(".")
        end = parts.index(EMULATOR) + 1 if EMULATOR in parts else len(parts)
        found.add(PurePosixPath(*parts[:end]))
    # A plugin that is itself its emulator is sent as a whole.
    declared = {
        point.module.split(".")[0] for point in distribution.entry_points.select(group="materia")
    }
    return {path for path in found if str(path) not in declared}
