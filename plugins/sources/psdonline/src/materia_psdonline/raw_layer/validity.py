"""Rows over time: each distinct row once, with the releases in which it was current.

A `Spans` is a pair of tables. One holds the rows of the newest release, each with the release since
which it has stood unchanged; the other holds rows that ended, from `first_release` up to, not
including, `end_release`. They are apart because the first does not grow with history.

A release is a set of rows. Loading, replacing or removing one anywhere in history changes which
rows are members of that release and of no other, so the work grows with what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
from materia.kit.sql import literal


class OutOfStepError(Exception):
    """The rows to remove are not the rows that are there: the difference was taken elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePosition:
    """Where a release stands among the loaded ones of its archive.

    Attributes:
        archive: Stem of the file, for example `psd_alldata`.
        release: First day of its month.
        before: The loaded release next before it, or None.
        after: The loaded release next after it, or None.
        loaded: Whether the release itself is loaded already, and is about to be replaced.
    """

    archive: str
    release: date
    before: date | None
    after: date | None
    loaded: bool

    @property
    def start(self) -> date | None:
        """The loaded release whose rows this one starts out with; None when it is the first."""
        return self.release if self.loaded else self.before or self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How many rows became members of a release, and how many are members no longer."""

    came: int
    went: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """A pair of tables in the schema `raw`.

    Attributes:
        name: Of the table of current rows; the other one is called `<name>_ended`.
        columns: SQL type by column, without the archive and the releases.
        key: The columns that rows are sorted by; unique in a release.
        nullable: Columns that may be NULL; a NULL equals a NULL.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    nullable: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """The columns, ready for SQL."""
        return ", ".join(self.columns)

    @property
    def removed(self) -> str:
        """Name of the temporary table of rows to take out."""
        return f"{self.name}_removed"

    @property
    def added(self) -> str:
        """Name of the temporary table of rows to put in."""
        return f"{self.name}_added"

    @property
    def near(self) -> str:
        """Name of the temporary table that `gather` fills."""
        return f"{self.name}_near"

    def ddl(self) -> str:
        """Statements that create both tables where they are missing."""
        columns = ", ".join(
            f"{name} {kind}{'' if name in self.nullable else ' NOT NULL'}"
            for name, kind in self.columns.items()
        )
        shared = f"archive psd_archive NOT NULL, {columns}, first_release DATE NOT NULL"
        return f"""
            CREATE TABLE IF NOT EXISTS raw.{self.name} ({shared});
            CREATE TABLE IF NOT EXISTS raw.{self.name}_ended (
                {shared}, end_release DATE NOT NULL
            );
        """

    def members(self, place: ReleasePosition) -> str:
        """SQL for the rows of the release as the tables have it now.

        A release that is not loaded has the rows of the one before it: spans end only where a
        loaded release begins.
        """
        current = f"""
            SELECT {self.row} FROM raw.{self.name}
            WHERE archive = '{place.archive}' AND first_release <= DATE '{place.release}'
        """
        if place.after is None:
            return f"({current})"
        return f"""({current}
            UNION ALL
            SELECT {self.row} FROM raw.{self.name}_ended
            WHERE archive = '{place.archive}' AND first_release <= DATE '{place.release}'
                AND end_release > DATE '{place.release}'
        )"""

    def equal(self, left: str, right: str) -> str:
        """SQL that is true for two equal rows.

        Column by column: a stored hash is no identity, as two rows can share it.
        """
        return " AND ".join(
            f"{left}.{name} {'IS NOT DISTINCT FROM' if name in self.nullable else '='} "
            f"{right}.{name}"
            for name in self.columns
        )

    def create_changes(self, connection: duckdb.DuckDBPyConnection, was: str, now: str) -> None:
        """Fill the temporary tables of changes from the rows before and after (SQL).

        From the rows that `gather` found, those to take out keep where they are.
        """
        for name, left, right, columns in (
            (self.removed, was, now, "l.*"),
            (self.added, now, was, self.row),
        ):
            connection.execute(f"""
                CREATE OR REPLACE TEMP TABLE {name} AS
                SELECT {columns} FROM {left} AS l ANTI JOIN {right} AS r
                    ON {self.equal("l", "r")}
            """)

    def gather(
        self, connection: duckdb.DuckDBPyConnection, place: ReleasePosition, chosen: str, by: str
    ) -> None:
        """Fill the temporary table `near` with the rows of the release that are *chosen*.

        Those whose columns *by* are in the table *chosen*. `row` is where each is kept: among the
        ended ones when `end_release` says so.
        """
        ended = f"""
            UNION ALL
            SELECT rowid, end_release, first_release, {self.row}
            FROM raw.{self.name}_ended SEMI JOIN {chosen} USING ({by})
            WHERE archive = $archive AND first_release <= $release AND end_release > $release
        """
        run = _Run(connection, place)
        run(f"""
            CREATE OR REPLACE TEMP TABLE {self.near} AS
            SELECT rowid AS row, NULL::DATE AS end_release, first_release, {self.row}
            FROM raw.{self.name} SEMI JOIN {chosen} USING ({by})
            WHERE archive = $archive AND first_release <= $release
            {"" if place.after is None else ended}
        """)

    def insert_first(
        self, connection: duckdb.DuckDBPyConnection, place: ReleasePosition, rows: str
    ) -> Moved:
        """Put all *rows* (SQL for a relation) in, where nothing of the archive is loaded."""
        run = _Run(connection, place)
        came = run(f"INSERT INTO raw.{self.name} SELECT $archive, {self.row}, $release FROM {rows}")
        return Moved(came=came, went=0)

    def change(
        self,
        connection: duckdb.DuckDBPyConnection,
        place: ReleasePosition,
        *,
        gathered: bool = False,
    ) -> Moved:
        """Take the rows of `removed` out of the release, and put `added` in.

        Only this release changes: what was current before and after it stays so. When `removed` was
        taken from the rows *gathered*, it says where they are.

        Raises:
            OutOfStepError: a row of `removed` is not a member, or one of `added` already is.
        """
        run = _Run(connection, place)
        wanted = run(f"FROM {self.removed}", count=True)
        came = run(f"FROM {self.added}", count=True)
        if wanted == came == 0:
            return Moved(came=0, went=0)
        current, ended, row, key = self.name, f"{self.name}_ended", self.row, ", ".join(self.key)
        inside = "span.first_release <= $release"
        ended_inside = f"{inside} AND span.end_release > $release"

        # Out: what is left of a span before the release ends there, what is left after it begins
        # anew.
        gone = self.removed if gathered else "gone"
        if not gathered and wanted != self._match(
            run, gone, self.removed, inside, ended_inside if place.after else None
        ):
            raise OutOfStepError
        self._delete(run, gone)
        run.insert(
            ended,
            f"SELECT $archive, {row}, first_release, $release FROM {gone} "
            "WHERE first_release < $release",
            order=key,
        )
        if place.after is not None:
            run.insert(
                ended,
                f"SELECT $archive, {row}, $after, end_release FROM {gone} "
                "WHERE end_release > $after",
            )
            run.insert(
                current, f"SELECT $archive, {row}, $after FROM {gone} WHERE end_release IS NULL"
            )
            if self._match(run, "present", self.added, inside, ended_inside):
                raise OutOfStepError

        # In: a new span, grown together with the one that ends here and the one that begins next.
        later = "span.first_release = $after" if place.after else None
        self._match(run, "left_part", self.added, None, "span.end_release = $release")
        self._match(run, "right_part", self.added, later, later)
        self._delete(run, "left_part")
        self._delete(run, "right_part")
        run(f"""
            CREATE OR REPLACE TEMP TABLE grown AS
            SELECT a.*, coalesce(l.first_release, $release) AS first_release,
                r.first_release IS NOT NULL AS goes_on, r.end_release
            FROM {self.added} AS a
            LEFT JOIN left_part AS l ON {self.equal("a", "l")}
            LEFT JOIN right_part AS r ON {self.equal("a", "r")}
        """)
        stays = "TRUE" if place.after is None else "goes_on AND end_release IS NULL"
        run.insert(
            current, f"SELECT $archive, {row}, first_release FROM grown WHERE {stays}", order=key
        )
        if place.after is not None:
            run.insert(
                ended,
                f"SELECT $archive, {row}, first_release, coalesce(end_release, $after) "
                f"FROM grown WHERE NOT ({stays})",
                order=key,
            )
        return Moved(came=came, went=wanted)

    def remove(self, connection: duckdb.DuckDBPyConnection, place: ReleasePosition) -> Moved:
        """Forget a release; all others stay as they are."""
        run = _Run(connection, place)
        current, ended = self.name, f"{self.name}_ended"
        if place.before is None and place.after is None:
            went = run(f"FROM raw.{current} WHERE archive = $archive", count=True)
            for table in (current, ended):
                run(f"DELETE FROM raw.{table} WHERE archive = $archive")
            return Moved(came=0, went=went)
        if place.before is None:
            went = run(f"DELETE FROM raw.{ended} WHERE archive = $archive AND end_release = $after")
            self._move_start(run, "$release", "$after")
            return Moved(came=0, went=went)
        # What it brought goes, what it took comes back: then it equals the release before it.
        begun = (
            f"SELECT {self.row} FROM raw.{{}} WHERE archive = $archive AND first_release = $release"
        )
        run(f"""
            CREATE OR REPLACE TEMP TABLE {self.removed} AS
            {begun.format(current)} UNION ALL {begun.format(ended)}
        """)
        run(f"""
            CREATE OR REPLACE TEMP TABLE {self.added} AS
            SELECT {self.row} FROM raw.{ended} WHERE archive = $archive AND end_release = $release
        """)
        return self.change(connection, place)

    def reach_back(self, connection: duckdb.DuckDBPyConnection, place: ReleasePosition) -> None:
        """Let a release older than all others start out with the rows of the one after it."""
        if not place.loaded and place.before is None and place.after is not None:
            self._move_start(_Run(connection, place), "$after", "$release")

    def _move_start(self, run: _Run, old: str, new: str) -> None:
        for table in (self.name, f"{self.name}_ended"):
            run(f"""
                UPDATE raw.{table} SET first_release = {new}
                WHERE archive = $archive AND first_release = {old}
            """)

    def _match(
        self, run: _Run, name: str, change: str, current: str | None, ended: str | None
    ) -> int:
        """A temporary table of the spans that equal a change, with where they are kept."""
        found = "".join(
            f"""
                UNION ALL SELECT span.rowid, {end}, span.first_release, change.*
                FROM raw.{table} AS span JOIN {change} AS change
                    ON {self.equal("span", "change")}
                WHERE span.archive = $archive AND {condition}
            """
            for table, condition, end in (
                (self.name, current, "NULL::DATE"),
                (f"{self.name}_ended", ended, "span.end_release"),
            )
            if condition is not None
        )
        # In one statement: see `_Run.insert`.
        return run(f"""
            CREATE OR REPLACE TEMP TABLE {name} AS
            (SELECT 0 AS row, NULL::DATE AS end_release, NULL::DATE AS first_release, {change}.*
            FROM {change} LIMIT 0) {found}
        """)

    def _delete(self, run: _Run, name: str) -> None:
        for table, kept in ((self.name, "IS NULL"), (f"{self.name}_ended", "IS NOT NULL")):
            chosen = f"FROM {name} WHERE end_release {kept}"
            if run(chosen, count=True):
                run(f"DELETE FROM raw.{table} WHERE rowid IN (SELECT row {chosen})")


class _Run:
    """Runs a statement with the place's values for `$archive`, `$release` and `$after`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, place: ReleasePosition) -> None:
        self._connection = connection
        self._values = {
            "$archive": literal(place.archive),
            "$release": literal(place.release),
            "$after": literal(place.after),
        }

    def __call__(self, sql: str, *, count: bool = False) -> int:
        """The number of rows the statement changed, or found with *count*."""
        if count:
            sql = f"SELECT count(*) {sql}"
        for name, value in self._values.items():
            sql = sql.replace(name, value)
        found = self._connection.execute(sql).fetchone()
        return int(found[0]) if found else 0

    def insert(self, table: str, rows: str, *, order: str = "") -> None:
        """Put *rows* (a SELECT) into a table of the schema `raw`, if there are any.

        Behind a statement that wrote no rows into a table, DuckDB 1.5.6 does not see what a large
        one writes into it in the same transaction, until the file is opened anew: what is loaded
        next would be compared with too little. So nothing is written where there is nothing, and
        temporary tables are filled by one statement each.
        """
        if self(f"FROM ({rows})", count=True):
            self(f"INSERT INTO raw.{table} {rows} {f'ORDER BY {order}' if order else ''}")
