"""Which intervals of SQLMesh models are built, and how to let SQLMesh build them again.

SQLMesh keeps in its state which days of a model are built. A plan that restates models takes
nothing out of that state before it is through, and does not look at changed models: after a build
that failed or was killed, a table made of rows that are gone would count as built for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlmesh import Context

# No month is longer: releases of months that follow each other are one span.
NEIGHBOURS = timedelta(days=31)
ALWAYS = (date(1970, 1, 1), date(2999, 12, 31))


def spans(days: Sequence[date]) -> list[tuple[date, date]]:
    """Runs of months without a gap, oldest first: each is rebuilt in one go."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] <= NEIGHBOURS:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def forget(context: Context, affected: Sequence[date]) -> None:
    """Let nothing that was built from the *affected* releases count as built any more.

    That holds for every version of every model, since an edit that is taken back makes an old
    version current again. Models that are incremental by time lose these releases, all others
    everything. The next plan builds what is missing; when it fails or is killed, that is still
    missing for the one after it.
    """
    from sqlmesh.core.model import ModelKindName

    state = context.state_sync
    versions = state.get_snapshots_by_names(list(context.models), exclude_expired=False)
    # The rows of these follow from files of the project, and not from the raw layer.
    kept = {ModelKindName.SEED, ModelKindName.EXTERNAL}
    by_time = [one for one in versions if one.is_incremental_by_time_range]
    # One day that is missing builds these whole; ten thousand would take SQLMesh seconds to list.
    at_once = [one for one in versions if one.is_full or one.is_view]
    others = [one for one in versions if one not in by_time + at_once]
    *_, newest = affected_spans = spans(affected)
    changes = [
        (at_once, (newest[1], newest[1])),
        ([one for one in others if one.model_kind_name not in kept], ALWAYS),
        *((by_time, span) for span in affected_spans),
    ]
    for models, (first, last) in changes:
        interval = (_milliseconds(first), _milliseconds(last + timedelta(days=1)))
        state.remove_intervals([(model, interval) for model in models], remove_shared_versions=True)


def _milliseconds(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
