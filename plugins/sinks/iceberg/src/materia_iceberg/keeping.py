"""How many snapshots are kept, and how long files that nobody seems to need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How much is kept.

    Attributes:
        publications: Of so many, all snapshots.
        young: What is younger stays in any case.
        together: So many snapshots of a table expire at once, or none: it takes a look at each.
    """

    publications: int = 24
    young: timedelta = timedelta(days=1)
    together: int = 8
