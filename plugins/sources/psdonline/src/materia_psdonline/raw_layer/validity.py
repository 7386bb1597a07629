"""Row validity (slowly changing dimension, type 2): each distinct row once, with its releases.

A `Spans` is a pair of tables. One has the rows of the newest release, each with the release since
which it is unchanged; the other has ended rows, from `first_release` up to, not including,
`end_release`. They are apart so that the first does not grow with the history.

A release is a set of rows. Loading, replacing or removing a release changes the members of that
release only, so the work is proportional to the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
from materia.kit.sql import literal


class OutOfStepError(Exception):
    """The rows to remove do not exist: the difference is from another state of the tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePosition:
    """The position of a release among the loaded ones of its archive.

    Attributes:
        archive: Stem of the file, for example `psd_alldata`.
        release: First day of its month.
        before: The loaded release next before it, or None.
        after: The loaded release next after it, or None.
        loaded: Whether the release itself is already loaded and will be replaced.
    """

    archive: str
    release: date
    before: date | None
    after: date | None
    loaded: bool

    @property
    def start(self) -> date | None:
        """The loaded release whose rows this one starts from; None for the first."""
        return self.release if self.loaded else self.before or self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The numbers of rows that joined and left a release."""

    came: int
    went: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """A pair of tables in the schema `raw`.

    Attributes:
        name: Name of the table of current rows; the other is `<name>_ended`.
        columns: SQL type by column, without the archive and the releases.
        key: The sort columns; unique in a release.
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
        """Name of the temporary table of rows to remove."""
        return f"{self.name}_removed"

    @property
    def added(self) -> str:
        """Name of the temporary table of rows to add."""
        return f"{self.name}_added"

    @property
    def near(self) -> str:
        """Name of the temporary table that `gather` fills."""
        return f"{self.name}_near"

    def ddl(self) -> str:
        """Statements that create both tables if they are missing."""
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
        """SQL for the rows of the release in the tables.

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

        It compares column by column, since two rows can share a hash.
        """
        return " AND ".join(
            f"{left}.{name} {'IS NOT DISTINCT FROM' if name in self.nullable else '='} "
            f"{right}.{name}"
            for name in self.columns
        )

    def create_changes(self, connection: duckdb.DuckDBPyConnection, was: str, now: str) -> None:
        """Fill the temporary tables of changes from the rows before and after (SQL).

        Rows to remove keep their location if `gather` found them.
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
        """Fill the temporary table `near` with the *chosen* rows of the release.

        Chosen rows have their columns *by* in the table *chosen*. `row` is the row's location, in
        the ended table if `end_release` is set.
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
        """Insert all *rows* (SQL for a relation) when nothing of the archive is loaded."""
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
        """Remove the rows of `removed` from the release, and add those of `added`.

        Only this release changes; earlier and later ones stay unchanged. With *gathered*, `removed`
        has the locations of its rows.

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

        # Remove: the part of a span before the release ends there, the part after it becomes a
        # new span.
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

        # Add: a new span, merged with the one that ends here and the one that begins next.
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
        """Remove a release from the history; all others stay unchanged."""
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
        # Undo its additions and removals: then it equals the release before it.
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
        """Let a release older than all others start with the rows of the next one."""
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
        """A temporary table of the spans that equal a change, with their locations."""
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
    """Runs statements with the place's `$archive`, `$release` and `$after`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, place: ReleasePosition) -> None:
        self._connection = connection
        self._values = {
            "$archive": literal(place.archive),
            "$release": literal(place.release),
            "$after": literal(place.after),
        }

    def __call__(self, sql: str, *, count: bool = False) -> int:
        """Run a statement; return the number of rows it changed, or found with *count*."""
        if count:
            sql = f"SELECT count(*) {sql}"
        for name, value in self._values.items():
            sql = sql.replace(name, value)
        found = self._connection.execute(sql).fetchone()
        return int(found[0]) if found else 0

    def insert(self, table: str, rows: str, *, order: str = "") -> None:
        """Insert *rows* (a SELECT) into a table of the schema `raw`, if there are any.

        After a statement that wrote no rows into a table, DuckDB 1.5.6 does not see the rows that a
        large one writes into it in the same transaction, until the file is opened again: the next
        load would compare with too few rows. So this skips empty inserts, and one statement fills
        each temporary table.
        """
        if self(f"FROM ({rows})", count=True):
            self(f"INSERT INTO raw.{table} {rows} {f'ORDER BY {order}' if order else ''}")
