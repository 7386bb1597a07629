"""Detect damage in transfer: check the directory and the checksums of a zip archive."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from materia_psdonline.release_file.zip_member import MAX_TEXT_BYTES


def damaged(path: Path) -> bool:
    """Whether *path* is not an intact archive.

    An HTML page instead of an archive is damage too: it is not the server's file. An intact archive
    that is useless for another reason is not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_TEXT_BYTES:
                return False
            return archive.testzip() is not None
    except (NotImplementedError, RuntimeError):  # a method that Python lacks, or a password
        return False
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError):
        return True
