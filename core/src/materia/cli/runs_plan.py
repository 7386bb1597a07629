"""The plan of a run, as it was saved: what was compared, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plan_text(plan: Mapping[str, Any] | None) -> str:
    """A saved plan for people; what another version did not write is left out."""
    return "" if not plan else "plan:"
