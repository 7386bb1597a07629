"""Was a zip archive damaged on its way? Its directory, at its end, and its checksums say so."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from materia_psdonline.release_file.zip_member import MAX_TEXT_BYTES


def damaged(path: Path) -> bool:
    """Whether *path* is not, or not whole, the archive that somebody packed.

    A page in the place of an archive is damage too: the server's file is not here. An archive that
    is whole and of no use for another reason is not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_TEXT_BYTES:
                return False
            return archive.testzip() is not None
    except (NotImplementedError, RuntimeError):  # a method or a password that Python has not
        return False
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError):
        return True
