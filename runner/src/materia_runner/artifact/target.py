"""What an artifact is, and what it can be made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from materia.compute import Architecture
from materia.errors import ConfigError

PYTHONS = ("3.11", "3.12", "3.13")
ARCHITECTURES: tuple[Architecture, ...] = ("x86_64", "arm64")
# glibc 2.28 is that of Debian 10 and Ubuntu 18.10: every image a provider offers has a later one.
PLATFORMS: dict[Architecture, str] = {
    "x86_64": "x86_64-manylinux_2_28",
    "arm64": "aarch64-manylinux_2_28",
}
# The stages that an artifact can be for: fetching needs a twentieth of it.
EXTRACT = ("extract",)
WHOLE = ("extract", "transform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machines an artifact is made for: Linux with glibc.

    Attributes:
        python: `3.11`: the minor version, as compiled packages fit one alone.
        architecture: Of the processor.
    """

    python: str
    architecture: Architecture

    @classmethod
    def of(cls, python: str, architecture: str) -> Target:
        """The target of that name.

        Raises:
            ConfigError: there is none.
        """
        if python not in PYTHONS:
            known = f"{', '.join(PYTHONS[:-1])} or {PYTHONS[-1]}"
            raise ConfigError(f"a worker runs Python {known}, not {python!r}")
        if architecture not in ARCHITECTURES:
            raise ConfigError(f"a worker is {' or '.join(ARCHITECTURES)}, not {architecture!r}")
        return cls(python=python, architecture=architecture)

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"

    @property
    def platform(self) -> str:
        """As uv calls it."""
        return PLATFORMS[self.architecture]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A bundle for one version of Python on one kind of processor.

    Unpacked it is `lib/` (to be put on PYTHONPATH), `project/` (the SQLMesh project, when there is
    one) and `manifest.json`. It is one tar in several gzip members, which GNU tar and Python's
    `gzip` read as one; `tarfile.open(mode="r|gz")` stops after the first.

    Attributes:
        path: The tar.gz on this machine.
        sha256: Of its bytes, in hex; also its name.
        python: `3.11`.
        architecture: Of the processor.
        size: Bytes of the tar.gz.
        stages: Names of those that it can run.
        url: Where it may be fetched from for 15 minutes without credentials, or None.
    """

    path: Path
    sha256: str
    python: str
    architecture: Architecture
    size: int
    stages: tuple[str, ...] = WHOLE
    url: str | None = None
