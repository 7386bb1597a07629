"""Slices: the rows of a file replace those of its partition; revisions are kept with their time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from materia.kit.sql import literal

from materia_snapshots.loading.rows import INCOMING
from materia_snapshots.loading.tables import Tables, count, quoted
from materia_snapshots.periods import Period

CAME, WENT = "snapshots_came", "snapshots_went"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The numbers of rows that came and went."""

    came: int
    went: int


def differences(tables: Tables, was: str, now: str) -> Moved:
    """Fill the temporary tables of rows that came and went, from those before and after (SQL)."""
    columns = quoted(tables.columns())
    for name, left, right in ((CAME, now, was), (WENT, was, now)):
        tables.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS "
            f"SELECT {columns} FROM {left} EXCEPT SELECT {columns} FROM {right}"
        )
    return Moved(came=count(tables.connection, CAME), went=count(tables.connection, WENT))


def incoming(tables: Tables, period: Period | None) -> str:
    """SQL for the rows of the file that was read, with all columns of the table."""
    there = {name for name, *_ in tables.connection.execute(f"DESCRIBE {INCOMING}").fetchall()}
    placed = {
        "partition": literal(period.key) if period else "NULL",
        "period": f"{literal(period.first)}::DATE" if period else "NULL",
    }
    columns = ", ".join(
        f'{placed[name]} AS "{name}"'
        if name in tables.placed
        else f'"{name}"'
        if name in there
        else f'NULL::VARCHAR AS "{name}"'
        for name in tables.columns()
    )
    return f"(SELECT {columns} FROM {INCOMING})"


class Slices:
    """The table of all files' rows."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def put(self, period: Period, *, known: bool) -> Moved:
        """Bring a partition to the rows that were read; *known* when it had rows before."""
        tables = self._tables
        now = incoming(tables, period)
        if not known and self._began(period.key) is None:
            return Moved(came=tables.insert(tables.row, f"SELECT * FROM {now}"), went=0)
        moved = differences(tables, self._of(period.key), now)
        self._apply(moved)
        self._record_revision()
        return moved

    def remove(self, key: str) -> Moved:
        """Remove the rows of a partition; its revisions then begin with its first rows."""
        tables = self._tables
        columns = quoted(tables.columns())
        nothing = f"(SELECT {columns} FROM {tables.row} LIMIT 0)"
        tables.insert(
            tables.change,
            f"""
                SELECT _file.seen, 1 AS change, _first.* FROM (
                    SELECT {columns} FROM (
                        SELECT {columns}, 1 AS change FROM {self._of(key)}
                        UNION ALL
                        SELECT {columns}, -change AS change FROM {tables.change}
                        WHERE partition = {literal(key)}
                    ) GROUP BY {columns} HAVING sum(change) > 0
                ) AS _first, {tables.file} AS _file WHERE _file.partition = {literal(key)}
            """,
        )
        moved = differences(tables, self._of(key), nothing)
        self._apply(moved)
        self._record_revision()
        return moved

    def first_seen(self, key: str) -> datetime:
        """When materia first loaded rows of a partition, in UTC without a time zone."""
        found = self._tables.connection.execute(
            f"SELECT min(seen) FROM {self._tables.file} WHERE partition = {literal(key)}"
        ).fetchone()
        return (found and found[0]) or self._began(key) or _now()

    def _began(self, key: str) -> datetime | None:
        """The time of the oldest revision of a partition."""
        found = self._tables.connection.execute(
            f"SELECT min(seen) FROM {self._tables.change} WHERE partition = {literal(key)}"
        ).fetchone()
        return found[0] if found else None

    def _of(self, key: str) -> str:
        return f"(FROM {self._tables.row} WHERE partition = {literal(key)})"

    def _apply(self, moved: Moved) -> None:
        tables = self._tables
        if moved.went:
            same = " AND ".join(f'r."{name}" = w."{name}"' for name in tables.key)
            tables.connection.execute(f"DELETE FROM {tables.row} r USING {WENT} w WHERE {same}")
        tables.insert(tables.row, f"SELECT * FROM {CAME}")

    def _record_revision(self) -> None:
        tables, now = self._tables, literal(_now())
        for rows, change in ((WENT, -1), (CAME, 1)):
            tables.insert(tables.change, f"SELECT {now} AS seen, {change} AS change, * FROM {rows}")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
