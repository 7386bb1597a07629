"""Copies on this machine of what is in the bucket, each checked by its hash as it comes.

    .materia.s3/acme-0a1b2c3d/raw/acme/2026-01/prices.0123456789abcdef.zip   as in the bucket
    .materia.s3/acme-0a1b2c3d/databases/<sha256>/materia.duckdb              as in the bucket
    .materia.s3/acme-0a1b2c3d/parts/                                         what is on its way
    .materia.s3/acme-0a1b2c3d/work/                                          see `database`

Nothing in it is needed: whatever is missing is downloaded again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from materia.errors import SinkError

from materia_store.bucket.objects import Objects

# A reader gets a path and opens it a moment later; a name must last for that long.
LAST_ASKED = timedelta(hours=1)


class Cache:
    """A folder of copies."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        """Keep copies of *objects* under *folder*, which need not exist yet."""
        self.folder = folder
        self._objects = objects

    def path(self, name: str) -> Path:
        """Where the copy of an object is, or would be: below the folder, links included.

        Raises:
            SinkError: the name leads out of there, or a link does.
        """
        path = self.folder.joinpath(*name.split("/"))
        if not path.parent.resolve().is_relative_to(self.folder.resolve()):
            raise SinkError(f"{self._objects.address.url(name)}: its copy would be at {path}")
        return path

    def fetch(self, name: str, sha256: str) -> Path | None:
        """A copy of an object with that hash; None when there is neither copy nor object.

        Raises:
            SinkError: the object is damaged, the store cannot be asked, or the disk is full.
        """
        path = self.path(name)
        if path.is_file() and sha256_of(path) == sha256:
            return path
        for _ in range(2):  # a second time, should it have been damaged on its way
            with self._part() as part:
                if not self._objects.download(name, part):
                    return None
                if sha256_of(part) == sha256:
                    self.take(part, name)
                    return path
        raise SinkError(
            f"{self._objects.address.url(name)}: is damaged, it is not what was kept under this "
            "name; delete it and run again"
        )

    def take(self, path: Path, name: str) -> None:
        """Make a file the copy of an object that has the same bytes; it is moved."""
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o444)  # who wrote to it would change what others read
        path.replace(target)

    def offer(self, path: Path, name: str) -> None:
        """As `take`, but if that fails the file is only removed: the copy saves a download."""
        try:
            self.take(path, name)
        except OSError:
            with suppress(OSError), self._part() as part:  # from another file system
                shutil.copyfile(path, part)
                self.take(part, name)
            path.unlink(missing_ok=True)

    def asked_for(self, path: Path) -> Path:
        """*path*, which stays for `LAST_ASKED` from now whatever is published meanwhile."""
        os.utime(path.parent)
        return path

    def tidy(self, folder: str, *, keep: str) -> None:
        """Remove what killed processes left, and copies in *folder* nobody asked for of late."""
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
        """An empty file that is removed when the block ends, unless it was moved."""
        parts = self.folder / "parts"
        parts.mkdir(parents=True, exist_ok=True)
        # The process's id tells whose part may be swept.
        descriptor, name = tempfile.mkstemp(suffix=f".{os.getpid()}", dir=parts)
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True
