"""Cache of artifacts and their parts in the user's cache folder, checked by hash.

A cached file is used only if it still has the hash from its creation; a damaged one is built again.
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

# Time since the last use of a file. An artifact is large, new with each change of code, and built
# from its parts in no time; but a run may still need the one that it began with.
KEPT = {".part.gz": timedelta(days=30), ".tar.gz": timedelta(days=2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file in the cache.

    Attributes:
        path: Path of the file.
        sha256: SHA-256 of its bytes, in hex.
        size: Size in bytes.
        notes: Metadata from its creation, ready for JSON.
        used_at: Time of its last use, in seconds since 1970.
    """

    path: Path
    sha256: str
    size: int
    notes: Mapping[str, Any]
    used_at: float


class ArtifactCache:
    """Cached files by key, in a folder that is created on the first write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the cache, so that no other process builds the same packages meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def find(self, key: str) -> File | None:
        """The file of that key, if it exists and has the right hash."""
        file = self._noted(self.folder / f"{key}.json")
        if file is None or not file.path.is_file() or sha256_of(file.path) != file.sha256:
            return None
        with suppress(OSError):  # a read-only cache can be used all the same
            os.utime(self.folder / f"{key}.json")
        return file

    def keep(
        self, key: str, write: Callable[[IO[bytes]], None], notes: Mapping[str, Any], *, suffix: str
    ) -> File:
        """Write a file under *key*, named by its hash, and remove old files.

        The same bytes written twice make one file.
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
        """All files of the cache, the last used first; their hashes are not checked."""
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
            with suppress(OSError):  # another process uses it
                age = now - path.stat().st_mtime
                if path.suffix == ".json" or path in used or age < _kept_for(path):
                    continue
                if path.is_dir():  # left by a killed build
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _kept_for(path: Path) -> float:
    """How long to keep a file, in seconds; leftovers of a killed build are removed first."""
    longest, shortest = max(KEPT.values()), min(KEPT.values())
    half = path.name.startswith(".") or path.suffix == PART
    default = shortest if half else longest
    return KEPT.get("".join(path.suffixes[-2:]), default).total_seconds()


def copy_into(path: Path, out: IO[bytes]) -> None:
    """Append the bytes of a file to an open file."""
    with path.open("rb") as file:
        shutil.copyfileobj(file, out, 1 << 20)
