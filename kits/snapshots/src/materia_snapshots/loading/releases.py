"""Releases: change-only history, exact for every loaded release whatever the order of loading.

A release is a set of keyed rows. The table `<name>_change` has the difference between each loaded
release and the one before it: so the members of a release are the sum of all changes up to it, and
to load, replace or remove a release changes its own difference and that of the next one only.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from materia.kit.sql import literal

from materia_snapshots.loading.slices import CAME, WENT, Moved, differences, incoming
from materia_snapshots.loading.tables import Tables, quoted
from materia_snapshots.periods import Period

BEFORE, AFTER = "snapshots_before", "snapshots_after"
REPLACED = "snapshots_replaced"
GATHERED = (BEFORE, AFTER, REPLACED)


class Releases:
    """The rows of the newest release, and the history of all."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def put(self, period: Period, *, known: bool) -> Moved:
        """Bring a release to the rows that were read; *known* when it is loaded already.

        Returns:
            What came and went since it was loaded, or since the release before a new one.
        """
        release = period.first or date.min
        before, after = self._around(release)
        now = incoming(self._tables, None)
        if after is None and not known:
            moved = differences(self._tables, self._tables.row, now)
            self._record(release)
            self._apply_to_newest(moved)
            return moved
        self._gather(BEFORE, before)
        self._gather(AFTER, after)
        self._gather(REPLACED, release if known else before)
        self._forget(release, after)
        moved = differences(self._tables, REPLACED, now)
        if known:
            differences(self._tables, BEFORE, now)
        self._record(release)
        if after is None:
            self._replace_newest(now)
        else:
            differences(self._tables, now, AFTER)
            self._record(after)
        return moved

    def remove(self, key: str) -> Moved:
        """Remove a release from the history; all others stay as they are."""
        release = self._first_day(key)
        before, after = self._around(release)
        self._gather(BEFORE, before)
        self._gather(AFTER, after)
        self._gather(REPLACED, release)
        self._forget(release, after)
        if after is None:
            self._replace_newest(BEFORE)
            return differences(self._tables, REPLACED, BEFORE)
        differences(self._tables, BEFORE, AFTER)
        self._record(after)
        return Moved(came=0, went=0)

    def first_seen(self, key: str) -> datetime:
        """The current time, in UTC without a time zone: a release keeps no other."""
        return datetime.now(UTC).replace(tzinfo=None)

    def _first_day(self, key: str) -> date:
        """The day of a loaded release, whose key may be of another kind of partitions."""
        found = self._tables.connection.execute(
            f"SELECT first_day FROM {self._tables.file} WHERE partition = {literal(key)}"
        ).fetchone()
        return found[0] if found is not None else date.min

    def _around(self, release: date) -> tuple[date | None, date | None]:
        """The loaded releases next before and next after."""
        found = self._tables.connection.execute(f"""
            SELECT max(first_day) FILTER (first_day < {literal(release)}),
                min(first_day) FILTER (first_day > {literal(release)})
            FROM {self._tables.file}
        """).fetchone()
        return found if found is not None else (None, None)

    def _gather(self, name: str, release: date | None) -> None:
        """Fill a temporary table with the rows of a loaded release; with none for None."""
        columns = quoted(self._tables.columns())
        chosen = "FALSE" if release is None else f"release <= {literal(release)}"
        self._tables.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE {name} AS
            SELECT {columns} FROM {self._tables.change} WHERE {chosen}
            GROUP BY {columns} HAVING sum(change) > 0
        """)

    def _forget(self, *releases: date | None) -> None:
        for release in releases:
            if release is not None:
                self._tables.connection.execute(
                    f"DELETE FROM {self._tables.change} WHERE release = {literal(release)}"
                )

    def _record(self, release: date) -> None:
        """Record the rows that came and went as those of a release."""
        for rows, change in ((WENT, -1), (CAME, 1)):
            self._tables.insert(
                self._tables.change,
                f"SELECT {literal(release)} AS release, {change} AS change, * FROM {rows}",
            )

    def _apply_to_newest(self, moved: Moved) -> None:
        tables = self._tables
        if moved.went:
            same = " AND ".join(f'r."{name}" = w."{name}"' for name in tables.key)
            tables.connection.execute(f"DELETE FROM {tables.row} r USING {WENT} w WHERE {same}")
        tables.insert(tables.row, f"SELECT * FROM {CAME}")

    def _replace_newest(self, rows: str) -> None:
        tables = self._tables
        tables.connection.execute(f"DELETE FROM {tables.row}")
        tables.insert(tables.row, f"SELECT {quoted(tables.columns())} FROM {rows}")
