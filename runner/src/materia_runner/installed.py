"""Cache of entry points, so that a short command does not search every installed distribution.

`importlib.metadata` alone finds and reads them. Its answer is used again while the folders on
`sys.path`, and the files of each distribution in them, are those that it saw.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

from materia._entry_points import EntryPoint, find_entry_points
from materia.kit.files import write_whole

FORMAT = 2
TEXTS = ("name", "value", "distribution", "version", "group")
# A file can change twice in one tick of the file system's clock: what is younger is not cached.
SETTLED_SECONDS = 2.0


def installed_entry_points(
    *groups: str, folder: Path, now: float | None = None
) -> list[EntryPoint]:
    """What `find_entry_points` finds, from the cache in *folder* when nothing changed since.

    A file that is damaged, or that another user wrote, is ignored. When the folder cannot be
    written, or `sys.path` has something other than folders, it searches every time.

    Args:
        groups: Groups of the entry points.
        folder: Folder of the cache, which need not exist yet.
        now: Seconds since 1970; None means the current time.
    """
    if not _can_be_watched(sys.path):
        return find_entry_points(*groups)
    file = folder / f"entry-points-{zlib.crc32(sys.prefix.encode()):08x}.json"
    asked = [FORMAT, sys.version, sys.path, list(groups)]
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        if (kept := _read(file, asked)) is not None:
            return kept
    stamps = {path: _stamp(path) for path in _watched(sys.path)}  # before it searches
    found = find_entry_points(*groups)
    newest = max(max(stamp[:2]) for stamp in stamps.values())
    if (time.time() if now is None else now) - newest / 1e9 > SETTLED_SECONDS:
        points = [[getattr(point, text) for text in TEXTS] for point in found]
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps({"asked": asked, "stamps": stamps, "points": points}))
    return found


def _can_be_watched(paths: Sequence[str]) -> bool:
    """Whether only folders, or nothing, are on the path, and no import hook finds more."""
    hooks = [one for one in sys.meta_path if hasattr(one, "find_distributions")]
    if hooks != [PathFinder]:
        return False
    return all(
        os.path.isabs(path)  # noqa: PTH117 -- a text, as all of sys.path
        and not path.endswith(".egg")
        and (_stamp(path) == GONE or os.path.isdir(path))  # noqa: PTH112
        for path in paths
    )


GONE = [0, 0, 0, 0]


def _stamp(path: str) -> list[int]:
    """What changes with a file or folder; GONE without one."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- some hundreds of them
    except OSError:
        return GONE
    # Tools set the time of a change, as they unpack a file; that of its entry they cannot set.
    return [found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino]


def _watched(paths: Sequence[str]) -> Iterator[str]:
    """The folders on the path, and the distributions in them with what names entry points."""
    for path in paths:
        yield path
        with suppress(OSError), os.scandir(path) as entries:
            for entry in entries:
                if entry.name.endswith((".dist-info", ".egg-info")):
                    yield entry.path
                    # A file that is added later changes its folder.
                    names = ("entry_points.txt", "METADATA", "PKG-INFO")
                    files = [f"{entry.path}/{name}" for name in names]
                    if os.path.exists(files[0]):  # noqa: PTH110
                        yield from filter(os.path.exists, files)


def _read(file: Path, asked: object) -> list[EntryPoint] | None:
    """The entry points in *file*; None when it has another question, or something changed.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged, as with KeyError, TypeError and AttributeError.
    """
    with file.open(encoding="utf-8") as opened:
        if os.fstat(opened.fileno()).st_uid != os.getuid():
            return None
        kept = json.load(opened)
    if kept["asked"] != asked:
        return None
    if any(_stamp(path) != stamp for path, stamp in kept["stamps"].items()):
        return None
    points = [dict(zip(TEXTS, texts, strict=True)) for texts in kept["points"]]
    if not all(isinstance(text, str) for point in points for text in point.values()):
        return None
    return [EntryPoint(**point) for point in points]
