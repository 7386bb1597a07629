"""How long sinks of tests wait for a store on the same machine."""

from __future__ import annotations

from datetime import timedelta

from materia_store.object_store import Patience

# A fault is given up at once.
QUICK = Patience(
    connect=timedelta(seconds=1),
    request=timedelta(seconds=1),
    pause=timedelta(milliseconds=1),
    reach=timedelta(seconds=0.3),
    overall=timedelta(seconds=0.4),
    apart=timedelta(0),
)
# The store that refuses a second write to a name does so within that time, not within a second.
APART = timedelta(seconds=0.02)
PATIENCE = Patience(apart=APART, pause=timedelta(seconds=0.02))
