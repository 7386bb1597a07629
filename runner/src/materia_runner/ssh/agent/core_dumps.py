"""Core dumps are off: a process that crashes leaves no secret on a disk.

Sent along with the programs for workers: standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import contextlib
import resource


def switch_off() -> None:
    """Let neither this process nor any that it starts write its memory to a file."""
    with contextlib.suppress(OSError, ValueError):  # a limit that is lower already stays
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
