"""Wire protocol of the agent on a rented machine: orders in JSON, answers as records.

Sent with each program. A program reads orders, each a length and JSON, and answers with records: a
kind, a length, a line end, and that many bytes. Standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from materia_runner.ssh.agent.core_dumps import switch_off

NOBODY = 66  # exit status when the runner is gone

Order = dict[str, Any]


def record(kind: bytes, payload: bytes) -> bytes:
    """One record as it is sent."""
    return b"%s %d\n" % (kind, len(payload)) + payload


def say(kind: bytes, **values: object) -> None:
    """Send one record with values."""
    write(record(kind, json.dumps(values).encode()))


def write(text: bytes) -> None:
    """Write all of *text* to standard output."""
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(1, rest) :]


def take_order() -> Order:
    """Read one order: its length in bytes, a line end, and JSON; nothing after it is read."""
    switch_off()  # from here on there may be secrets in memory
    length = b""
    while not length.endswith(b"\n"):
        length += os.read(0, 1) or sys.exit(NOBODY)
    pieces, left = [], int(length)
    while left:
        pieces.append(os.read(0, left) or sys.exit(NOBODY))
        left -= len(pieces[-1])
    order: Order = json.loads(b"".join(pieces))
    return order


def serve(programs: Mapping[str, Callable[[Order], None]]) -> None:
    """Carry out orders until the runner is gone."""
    while True:
        given = take_order()
        programs[given["do"]](given)
