"""Snapshot retention: how many publications to keep, and how long to keep unused files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Limits for snapshot expiry and file cleanup.

    Attributes:
        publications: Keep all snapshots of this many publications.
        young: Keep every snapshot and file that is younger than this.
        together: Expire at least this many snapshots of a table at once, or none: after an expiry,
            the cleanup reads the manifests of all that remain.
    """

    publications: int = 24
    young: timedelta = timedelta(days=1)
    together: int = 8
