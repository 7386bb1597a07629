"""A finding of `materia plugins check`: a promise, whether it is kept, the cause and the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GUIDE = "docs/plugins.md"
API = "docs/plugin-api.md"
Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One promise of a package.

    Attributes:
        check: `metadata`, `imports`, `start`, `protocol` or `contract`.
        status: Whether the promise is kept; `skipped` when that could not be found out.
        promise: The promise, as a sentence without a full stop.
        cause: What breaks it and what to do, or why it was skipped; empty when it is kept.
        page: Where it is explained.
        plugin: Kind and name of the plugin, such as `sink acme`; empty for the whole package.
    """

    check: str
    status: Status
    promise: str
    page: str
    cause: str = ""
    plugin: str = ""


def kept(check: str, promise: str, page: str, faults: list[str], *, plugin: str = "") -> Finding:
    """The finding of a promise that is kept when there are no *faults*."""
    status: Status = "failed" if faults else "ok"
    return Finding(
        check=check,
        status=status,
        promise=promise,
        page=page,
        cause="; ".join(faults),
        plugin=plugin,
    )
