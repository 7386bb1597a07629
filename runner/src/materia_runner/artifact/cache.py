"""Artifacts and their parts under the user's cache folder.

A file is used only if its bytes have the hash that was noted when it was made; a damaged one is
made again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Any

from materia.kit.files import PART, sha256_of, write_whole

# Since a file was last used. An artifact is large, new with each change of code, and made of its
# parts in no time; but a run may still want the one that it began with.
KEPT = {".part.gz": timedelta(days=30), ".tar.gz": timedelta(days=2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is whole.

    Attributes:
        path: Where it is kept.
        sha256: Of its bytes, in hex.
        size: Its bytes.
        notes: What was noted when it was made, ready for JSON.
        used_at: When it was last used, in seconds since 1970.
    """

    path: Path
    sha256: str
    size: int
    notes: Mapping[str, Any]
    used_at: float


class ArtifactCache:
    """Files by key, in a folder that is made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process put packages together meanwhile: it would be the same ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def find(self, key: str) -> File | None:
        """The file of that key, when it is there and whole."""
        file = self._noted(self.folder / f"{key}.json")
        if file is None or not file.path.is_file() or sha256_of(file.path) != file.sha256:
            return None
        with suppress(OSError):  # a cache that cannot be written to can be read all the same
            os.utime(self.folder / f"{key}.json")
        return file

    def keep(
        self, key: str, write: Callable[[IO[bytes]], None], notes: Mapping[str, Any], *, suffix: str
    ) -> File:
        """Write a file and note it under *key*; its name is its hash. What is old goes.

        Called twice with the same bytes, there is one file.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(dir=self.folder, prefix=".part-"), "file")
        try:
            with part.open("wb") as out:
                write(out)
            name, size = sha256_of(part), part.stat().st_size
            path = part.replace(self.folder / f"{name}{suffix}")
        finally:
            shutil.rmtree(part.parent)
        note = {"file": path.name, "sha256": name, "size": size, "notes": notes}
        write_whole(self.folder / f"{key}.json", json.dumps(note))
        self._forget_old()
        return File(path=path, sha256=name, size=size, notes=notes, used_at=time.time())

    def every(self) -> Iterator[File]:
        """All files that are noted and there, the last used first; unchecked."""
        found = [self._noted(path) for path in self.folder.glob("*.json")]
        there = [file for file in found if file is not None and file.path.is_file()]
        yield from sorted(there, key=lambda file: (-file.used_at, file.sha256))

    def _noted(self, note: Path) -> File | None:
        try:
            values = json.loads(note.read_text())
            return File(
                path=self.folder / values["file"],
                sha256=values["sha256"],
                size=values["size"],
                notes=values["notes"],
                used_at=note.stat().st_mtime,
            )
        except (OSError, ValueError, KeyError, TypeError):  # gone, or cut off by a full disk
            return None

    def _forget_old(self) -> None:
        now = time.time()
        notes: dict[Path, File | None] = {
            note: self._noted(note) for note in self.folder.glob("*.json")
        }
        for note, file in notes.items():
            if file is None or now - file.used_at > _kept_for(file.path):
                note.unlink(missing_ok=True)
                notes[note] = None
        used = {file.path for file in notes.values() if file is not None}
        for path in self.folder.iterdir():
            with suppress(OSError):  # another process is at it
                age = now - path.stat().st_mtime
                if path.suffix == ".json" or path in used or age < _kept_for(path):
                    continue
                if path.is_dir():  # of a build that was killed
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _kept_for(path: Path) -> float:
    """In seconds; what a killed build left behind goes first."""
    longest, shortest = max(KEPT.values()), min(KEPT.values())
    half = path.name.startswith(".") or path.suffix == PART
    default = shortest if half else longest
    return KEPT.get("".join(path.suffixes[-2:]), default).total_seconds()


def copy_into(path: Path, out: IO[bytes]) -> None:
    """Write the bytes of a file to another."""
    with path.open("rb") as file:
        shutil.copyfileobj(file, out, 1 << 20)
