"""Partial file of a download: written under a temporary name, hashed while it arrives."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["Arrived", "Part", "TooLargeError"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A file that has arrived completely; its content is not checked yet.

    Attributes:
        path: The file, under a temporary name.
        sha256: SHA-256 of its bytes, in hex.
        size: Its number of bytes.
        etag: As the server sent it, or None.
        last_modified: As the server sent it, or None.
        framed: The server sent the length, so a premature end would have been noticed.
        url: The address that it came from, behind all redirects; None when it is from a folder.
    """

    path: Path
    sha256: str
    size: int
    etag: str | None
    last_modified: str | None
    framed: bool = True
    url: str | None = None


class TooLargeError(Exception):
    """The file is larger than any that the source expects."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"is larger than {limit:,} bytes: not a file of this source")


class Part:
    """The part of a file that has arrived; the creator discards it in the end.

    Attributes:
        size: Bytes so far.
        etag: ETag of the answer that the bytes are from, or None.
        last_modified: The same answer's Last-Modified, or None.
        length: Bytes of the whole file, from the server, or None.
        framed: Whether the server sent the length.
        continued: Whether the download can resume, since a strong ETag identifies the bytes.
        limit: Most bytes that the file may have.

    Raises:
        OSError: the file cannot be written, for example because the disk is full.
    """

    def __init__(self, path: Path, received: Callable[[int], None], *, limit: int) -> None:
        self.size = 0
        self.etag: str | None = None
        self.last_modified: str | None = None
        self.length: int | None = None
        self.framed = True
        self.continued = False
        self.limit = limit
        self._path = path
        self._received = received
        self._digest = hashlib.sha256()
        self._complete = False
        self._out: BinaryIO = path.open("wb")

    def write(self, chunk: bytes) -> None:
        """Append *chunk*.

        Raises:
            TooLargeError: the file would exceed its limit.
        """
        if self.size + len(chunk) > self.limit:
            raise TooLargeError(self.limit)
        self._out.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)
        self._received(len(chunk))

    def start_again(self) -> None:
        """Discard the bytes and start again."""
        self._out.seek(0)
        self._out.truncate()
        self._digest = hashlib.sha256()
        self.size = 0

    def arrived(self) -> Arrived:
        """Close the file, which is complete."""
        self._out.close()
        self._complete = True
        return Arrived(
            path=self._path,
            sha256=self._digest.hexdigest(),
            size=self.size,
            etag=self.etag,
            last_modified=self.last_modified,
            framed=self.framed,
        )

    def discard(self) -> None:
        """Close and delete the file; no effect after `arrived`."""
        if self._complete:
            return
        # On a full disk closing fails too; delete the file all the same.
        with contextlib.suppress(OSError):
            self._out.close()
        self._path.unlink(missing_ok=True)
