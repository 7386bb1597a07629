"""Atomic write: replace a file whole or not at all; and the SHA-256 of a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PART", "replacing", "sha256_of", "write_whole"]

PART = ".part"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside *path* to write to, which replaces *path* at the end.

    When the block fails, *path* is unchanged and the temporary file is removed. A killed process
    leaves its temporary file, which has the process id in its name.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write a text file atomically, in UTF-8: a reader sees the old text or the new.

    Args:
        path: A path in a folder that exists.
        text: The whole text.
        mode: Permissions of the new file, less the umask.
    """
    with replacing(path) as part:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 -- pathlib opens nothing with a mode
            file.write(text)


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    import hashlib  # it brings OpenSSL, which a short command does without

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
