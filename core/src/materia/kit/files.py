"""Files: replace one whole or not at all, and the SHA-256 of its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PART", "replacing", "sha256_of", "write_whole"]

PART = ".part"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Another name for *path* while it is written: it takes the place of *path* at the end.

    When the block fails, *path* is as it was and nothing else is left. A process that is killed
    leaves its part; the number of the process in the name tells whose it is.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Replace *path* by *text*, in UTF-8: a reader sees the old text or the new.

    Args:
        path: In a folder that exists.
        text: All of it.
        mode: Permissions of the new file, less what the process masks.
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
