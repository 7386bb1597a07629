"""Reproducible tar.gz, compressed in parallel: the same bytes for the same files.

The tar is cut into gzip members of equal size, and each is compressed on its own. So a part of a
tar that was compressed earlier can be put before other parts.
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, cast

# 189 MB of packages: 65.7 MB in 0.9 s at level 1, 57.6 in 3.3 at 6, 57.3 in 8.9 at 9; 2 processors.
LEVEL = 6
MEMBER_BYTES = 4 << 20
GZIP = 31  # zlib's wbits for gzip: a header without file name and time
# The first day that a zip file can have; tar warns about 1970.
MTIME = 315532800


def write_part(out: IO[bytes], files: Iterable[tuple[str, Path | bytes]], *, last: bool) -> None:
    """Write files, in their order, as gzip members of a tar; the *last* part ends the tar.

    All files get the same mode, time and owner.
    """
    members = _Members(out)
    try:
        # TarFile only calls its write and tell.
        file = cast("IO[bytes]", members)
        tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.mtime = MTIME
            entry.mode = 0o644
            if isinstance(content, bytes):
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            else:
                entry.size = content.stat().st_size
                with content.open("rb") as readable:
                    tar.addfile(entry, readable)
        if last:
            tar.close()
        members.finish()
    finally:
        members.stop()


class _Members:
    """A writable file that compresses its data in threads, member by member."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._threads = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="gzip")
        self._running: deque[Future[bytes]] = deque()
        self._waiting = bytearray()
        self._written = 0

    def tell(self) -> int:
        return self._written

    def write(self, data: bytes) -> int:
        self._written += len(data)
        self._waiting += data
        while len(self._waiting) >= MEMBER_BYTES:
            self._submit(bytes(self._waiting[:MEMBER_BYTES]))
            del self._waiting[:MEMBER_BYTES]
        return len(data)

    def finish(self) -> None:
        if self._waiting:
            self._submit(bytes(self._waiting))
        while self._running:
            self._out.write(self._running.popleft().result())

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, data: bytes) -> None:
        self._running.append(self._pool.submit(_compress, data))
        if len(self._running) > 2 * self._threads:  # limit the memory
            self._out.write(self._running.popleft().result())


def _compress(data: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    return compressor.compress(data) + compressor.flush()
