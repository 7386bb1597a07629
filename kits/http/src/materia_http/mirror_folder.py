"""Copy a file from a mirror folder: its modification time and size replace the ETag."""

from __future__ import annotations

import email.utils
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from materia.data import Absent, FetchRequest, Known, Partition, Unchanged
from materia.errors import SourceError

from materia_http.partial_file import Arrived, Part

__all__ = ["copy", "is_due", "is_there"]

CHUNK = 1 << 20


def is_there(partition: Partition) -> bool:
    """Whether *partition* is in the folder."""
    return _path(partition).exists()


def is_due(partition: Partition, known: Mapping[str, Known]) -> bool:
    """Whether *partition* is, or was, in the folder; checking a folder costs nothing."""
    before = known.get(partition.key)
    return is_there(partition) or (before is not None and before.raw is not None)


def copy(
    request: FetchRequest, part_path: Path, *, root: Path, limit: int, again: bool = False
) -> Arrived | Unchanged | Absent:
    """Copy the request's partition from below *root* to *part_path*.

    A missing file counts as deleted by its owner. With *again* an unchanged file is copied, too.

    Raises:
        SourceError: the file exists and cannot be read, or *root* itself is missing.
        TooLargeError: it has more bytes than *limit*.
        OSError: *part_path* cannot be written.
    """
    url, known = request.partition.url, request.known
    try:
        source = open(  # noqa: SIM115 -- closed below
            _path(request.partition), "rb", opener=_at_once
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        if root.is_dir():
            return Absent(removed=True)
        raise SourceError(f"{url}: the folder {root} does not exist") from error
    except OSError as error:
        raise SourceError(f"{url}: cannot be read: {error.strerror or error}") from error
    with source:
        status = os.fstat(source.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{url}: is not a regular file")
        etag = f'"{status.st_mtime_ns:x}:{status.st_size:x}"'
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        last_modified = email.utils.format_datetime(modified, usegmt=True)
        if not again and known is not None and known.url == url and known.etag == etag:
            return Unchanged(etag=etag, last_modified=last_modified)
        part = Part(part_path, request.received, limit=limit)
        part.etag, part.last_modified = etag, last_modified
        try:
            while True:
                try:
                    chunk = source.read(CHUNK)
                except OSError as error:
                    raise SourceError(f"{url}: cannot be read: {error.strerror}") from error
                if not chunk:
                    break
                part.write(chunk)
            if part.size != status.st_size:
                raise SourceError(f"{url}: changed while it was copied; run again")
            return part.arrived()
        finally:
            part.discard()


def _at_once(path: str, flags: int) -> int:
    """Open *path* without blocking: a named pipe would wait for its writer for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _path(partition: Partition) -> Path:
    return Path(unquote(urlsplit(partition.url).path))
