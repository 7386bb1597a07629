"""Switch core dumps off, so that a crashed process leaves no secret on disk.

Sent with the programs for workers: standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import contextlib
import resource


def switch_off() -> None:
    """Forbid core dumps for this process and the processes that it starts."""
    with contextlib.suppress(OSError, ValueError):  # a limit that is lower already stays
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
