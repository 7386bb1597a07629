"""Local cache of objects in the bucket, each verified by its hash.

    .materia.s3/acme-0a1b2c3d/raw/acme/2026-01/prices.0123456789abcdef.zip   as in the bucket
    .materia.s3/acme-0a1b2c3d/databases/<sha256>/materia.duckdb              as in the bucket
    .materia.s3/acme-0a1b2c3d/parts/                                         unfinished downloads
    .materia.s3/acme-0a1b2c3d/work/                                          see `database`

You may delete the cache: materia downloads missing copies again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from materia.errors import SinkError
from materia.kit.files import sha256_of

from materia_store.bucket.objects import Objects

__all__ = [
    "Cache",
]

# A reader gets a path and opens it a moment later; the path must exist that long.
LAST_ASKED = timedelta(hours=1)


class Cache:
    """A folder of copies."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        """Keep copies of *objects* under *folder*, which may be missing."""
        self.folder = folder
        self._objects = objects

    def path(self, name: str) -> Path:
        """The path for the copy of an object, below the folder, links resolved.

        Raises:
            SinkError: the name or a symbolic link leads out of the folder.
        """
        path = self.folder.joinpath(*name.split("/"))
        if not path.parent.resolve().is_relative_to(self.folder.resolve()):
            raise SinkError(
                f"{self._objects.address.url(name)}: cannot cache it: its copy would be at {path}, "
                f"outside {self.folder}"
            )
        return path

    def fetch(self, name: str, sha256: str) -> Path | None:
        """A copy of an object with that hash; None when neither exists.

        Raises:
            SinkError: the object is damaged, the store cannot be reached, or the disk is full.
        """
        path = self.path(name)
        if path.is_file() and sha256_of(path) == sha256:
            return path
        for _ in range(2):  # a second time, in case the transfer damaged it
            with self._part() as part:
                if not self._objects.download(name, part):
                    return None
                if sha256_of(part) == sha256:
                    self.take(part, name)
                    return path
        raise SinkError(
            f"{self._objects.address.url(name)}: is damaged: its hash is not the recorded one; "
            "delete it and run again"
        )

    def take(self, path: Path, name: str) -> None:
        """Move a file into the cache as the copy of an object with the same bytes."""
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o444)  # read-only, so that no writer changes the bytes of other readers
        path.replace(target)

    def offer(self, path: Path, name: str) -> None:
        """Move a file into the cache; on failure remove it: the copy only saves a download."""
        try:
            self.take(path, name)
        except OSError:
            with suppress(OSError), self._part() as part:  # from another file system
                shutil.copyfile(path, part)
                self.take(part, name)
            path.unlink(missing_ok=True)

    def asked_for(self, path: Path) -> Path:
        """Mark *path* as used, so that it stays in the cache for `LAST_ASKED`."""
        os.utime(path.parent)
        return path

    def tidy(self, folder: str, *, keep: str) -> None:
        """Remove leftovers of killed processes and unused copies in *folder*."""
        for part in (self.folder / "parts").glob("*"):
            if not _alive(part.suffix[1:]):
                part.unlink(missing_ok=True)
        limit = time.time() - LAST_ASKED.total_seconds()
        for copy in self.path(folder).glob("*"):
            with suppress(FileNotFoundError):
                if copy != self.path(keep).parent and copy.stat().st_mtime < limit:
                    shutil.rmtree(copy, ignore_errors=True)

    @contextmanager
    def _part(self) -> Iterator[Path]:
        """An empty temporary file; removed at the end of the block unless moved."""
        parts = self.folder / "parts"
        parts.mkdir(parents=True, exist_ok=True)
        # The process id shows which parts may be swept.
        descriptor, name = tempfile.mkstemp(suffix=f".{os.getpid()}", dir=parts)
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True
