"""Target platforms of an artifact: Python version and processor, as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from materia.compute import Architecture
from materia.errors import ConfigError

PYTHONS = ("3.11", "3.12", "3.13")
ARCHITECTURES: tuple[Architecture, ...] = ("x86_64", "arm64")
# Debian 10 and Ubuntu 18.10 have glibc 2.28: every image of a provider has that or a later one.
PLATFORMS: dict[Architecture, str] = {
    "x86_64": "x86_64-manylinux_2_28",
    "arm64": "aarch64-manylinux_2_28",
}
# The stages that an artifact can be for; extract alone needs a twentieth of the size.
EXTRACT = ("extract",)
WHOLE = ("extract", "transform")
# The command line itself, for the machine that starts the runs of a channel.
SUPERVISOR = ("supervisor",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Target platform of an artifact: Linux with glibc.

    Attributes:
        python: Python version, such as `3.11`: a compiled package fits one minor version only.
        architecture: Architecture of the processor.
    """

    python: str
    architecture: Architecture

    @classmethod
    def of(cls, python: str, architecture: str) -> Target:
        """The target with that Python and architecture.

        Raises:
            ConfigError: materia does not support it.
        """
        if python not in PYTHONS:
            known = f"{', '.join(PYTHONS[:-1])} or {PYTHONS[-1]}"
            raise ConfigError(f"a worker needs Python {known}, not {python!r}")
        if architecture not in ARCHITECTURES:
            raise ConfigError(
                f"a worker needs the architecture {' or '.join(ARCHITECTURES)}, "
                f"not {architecture!r}"
            )
        return cls(python=python, architecture=architecture)

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"

    @property
    def platform(self) -> str:
        """Name of the platform for uv."""
        return PLATFORMS[self.architecture]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact for one Python version and one processor architecture.

    It contains `lib/` (for PYTHONPATH), `project/` (the SQLMesh project, if any) and
    `manifest.json`. It is one tar in several gzip members, which GNU tar and Python's `gzip` read
    as one; `tarfile.open(mode="r|gz")` stops after the first.

    Attributes:
        path: The tar.gz on this machine.
        sha256: SHA-256 of its bytes, in hex; also its name.
        python: Python version, such as `3.11`.
        architecture: Architecture of the processor.
        size: Size of the tar.gz in bytes.
        stages: Names of the stages that it can run.
        url: Presigned URL, which works without credentials for 15 minutes, or None.
    """

    path: Path
    sha256: str
    python: str
    architecture: Architecture
    size: int
    stages: tuple[str, ...] = WHOLE
    url: str | None = None
