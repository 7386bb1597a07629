"""What a worker gets: one tar.gz with everything a stage needs but Python itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from materia.machines import Architecture

if TYPE_CHECKING:
    from materia.model import Pipeline
    from materia.plugins import Registry


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
        url: Where it may be fetched from for 15 minutes without credentials, or None.
    """

    path: Path
    sha256: str
    python: str
    architecture: Architecture
    size: int
    url: str | None = None


def find_or_build(
    *,
    python: str,
    architecture: Architecture,
    registry: Registry,
    pipeline: Pipeline,
    say: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Artifact:
    """The artifact of the pipeline's source and sink, as they are installed here.

    Built when it is not kept from before, and pushed to the bucket of the pipeline when it has one
    and *environment* is given. Needs no network when nothing that is installed has changed.

    Raises:
        ConfigError: uv is not installed, or a plugin cannot be packed.
        MissingSecretError: the bucket's credentials are not in *environment*.
        StageError: a package cannot be had for that Python and processor.
    """
    raise NotImplementedError
