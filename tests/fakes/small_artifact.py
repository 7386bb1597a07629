"""A small artifact with the folder source: core, pluggy and the fakes, as they lie here."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import materia
import materia_providers
import materia_runner
import pluggy
from materia.compute import Architecture
from materia_runner.artifact.find import Artifact

FAKES = Path(__file__).parent
PLUGINS = {"folder": "fakes.folder", "secretive": "fakes.secretive"}


def small_artifact(
    folder: Path, *, python: str, architecture: Architecture, more: dict[str, str] | None = None
) -> Artifact:
    """Made in a moment, enough for an extract; *more* are files in it, with their text."""
    path = folder / "small.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for package in (materia, materia_providers, materia_runner, pluggy):
            place = Path(str(package.__file__)).parent
            archive.add(place, f"lib/{place.name}", filter=_source)
        archive.add(FAKES, "lib/fakes", filter=_source)
        for name, module in PLUGINS.items():
            meta = f"lib/materia_{name}-1.2.dist-info"
            _put(archive, f"{meta}/METADATA", f"Name: materia-{name}\nVersion: 1.2\n")
            _put(archive, f"{meta}/entry_points.txt", f"[materia]\n{name} = {module}\n")
        for name, text in (more or {}).items():
            _put(archive, name, text)
    content = path.read_bytes()
    return Artifact(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        python=python,
        architecture=architecture,
        size=len(content),
    )


def _source(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(member.name).parts
    return (
        None if "__pycache__" in parts or parts[:3] == ("lib", "materia_runner", "cli") else member
    )


def _put(archive: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    archive.addfile(member, io.BytesIO(text.encode()))
