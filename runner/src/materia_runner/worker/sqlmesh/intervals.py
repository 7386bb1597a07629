"""SQLMesh intervals: mark the affected intervals of incremental models as not built.

SQLMesh records in its state which days of a model are built. A plan that restates models changes
that state only at its end, and ignores changed models: after a failed or killed build, a table with
outdated rows would count as built for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlmesh import Context

# The longest month: releases of consecutive months are one span.
NEIGHBOURS = timedelta(days=31)
ALWAYS = (date(1970, 1, 1), date(2999, 12, 31))


def since_yesterday() -> tuple[date, date]:
    """Days of which a model that was built has the first one, or lacks all and is built anyway."""
    return datetime.now(UTC).date() - timedelta(days=1), ALWAYS[1]


def spans(days: Sequence[date]) -> list[tuple[date, date]]:
    """Group days into spans of consecutive months, oldest first; each is rebuilt in one step."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] <= NEIGHBOURS:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def forget(context: Context, affected: Sequence[date], models: Sequence[str]) -> None:
    """Mark what was built of *models* from the *affected* releases as not built.

    This covers every version of these models, because a reverted edit makes an old version current
    again. Models that are incremental by time lose these releases, all others everything. The next
    plan builds the missing intervals; if it fails or is killed, they stay missing for the one after
    it.
    """
    from sqlmesh.core.model import ModelKindName

    state = context.state_sync
    versions = state.get_snapshots_by_names(models, exclude_expired=False)
    # The rows of these kinds come from files of the project, not from the raw layer.
    kept = {ModelKindName.SEED, ModelKindName.EXTERNAL}
    by_time = [one for one in versions if one.is_incremental_by_time_range]
    # One missing day is enough to rebuild these; SQLMesh would take seconds to list ten thousand.
    at_once = [one for one in versions if one.is_full or one.is_view]
    others = [one for one in versions if one not in by_time + at_once]
    changes = [
        (at_once, since_yesterday()),
        ([one for one in others if one.model_kind_name not in kept], ALWAYS),
        *((by_time, span) for span in spans(affected)),
    ]
    for some, (first, last) in changes:
        interval = (milliseconds(first), milliseconds(last + timedelta(days=1)))
        state.remove_intervals([(model, interval) for model in some], remove_shared_versions=True)


def milliseconds(day: date) -> int:
    """Milliseconds since 1970 of the beginning of a day, as SQLMesh's state has times."""
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
