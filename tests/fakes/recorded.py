"""Bodies that real services once sent, kept beside this repository and never in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "providers"


def recorded(path: str) -> Any:
    """A recorded body; without it the test is skipped."""
    file = FOLDER / path
    if not file.is_file():
        pytest.skip(f"no recorded body {path} beside the repository")
    return json.loads(file.read_text(encoding="utf-8"))


def absent(theirs: Any, ours: Any, where: str = "") -> Iterator[str]:
    """Paths of the keys that *theirs* has and *ours* lacks; what is empty proves nothing."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key, value in theirs.items():
            if key not in ours:
                yield f"{where}.{key}"
            else:
                yield from absent(value, ours[key], f"{where}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and theirs and ours:
        yield from absent(theirs[0], ours[0], f"{where}[]")
