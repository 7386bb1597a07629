"""Replay a recorded build with plain DuckDB: no SQLMesh import, no parsing, no plan.

It is for a database whose last build ended well and whose models have not changed since, and with
a shipped build for one without models: the affected intervals are built by SQLMesh's own
statements, all audits run, and SQLMesh's state gets the same records. For anything else, and after
any error, SQLMesh builds as usual.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from materia.kit.sql import literal

from materia_runner.worker.sqlmesh.audit_rows import Finding, found_sentence, with_rows
from materia_runner.worker.sqlmesh.intervals import (
    ALWAYS,
    milliseconds,
    since_yesterday,
    spans,
)
from materia_runner.worker.sqlmesh.recorded.find_build import (
    ENDED,
    FoundBuild,
    fetching,
    fitting_build,
    note_ended,
    opened,
)
from materia_runner.worker.sqlmesh.recorded.first_build import FirstBuild
from materia_runner.worker.sqlmesh.recorded.recorded_build import (
    BY_TIME,
    FIRST_DAY,
    FULL,
    KEPT,
    LAST_DAY,
    VIEW,
    RecordedBuild,
    RecordedModel,
    definitions_of,
    save,
)
from materia_runner.worker.sqlmesh.state import STATE

if TYPE_CHECKING:
    import duckdb

DAY = timedelta(days=1)
DAY_MS = 86_400_000


class CannotReplayError(Exception):
    """The recorded build does not fit; SQLMesh has to build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay built.

    Attributes:
        tables: Names of all finished tables and views, sorted.
        models: Number of models built.
        audits: Number of audits that ran.
        warnings: Findings of audits, one sentence each.
        made_in: Place of the project of each model, in the order of the request, by table.
        skipped: Sentence with the reason why the unit tests did not run.
    """

    tables: tuple[str, ...]
    models: int
    audits: int
    warnings: tuple[str, ...]
    made_in: dict[str, int]
    skipped: str


def keep(database: Path, path: Path, build: RecordedBuild) -> None:
    """Write *build*, which just made *database*, for later runs; without a cache, do nothing."""
    with opened(database) as connection:
        found = definitions_of(fetching(connection))
    if build.definitions.keys() <= found.keys():
        save(path, replace(build, definitions={name: found[name] for name in build.definitions}))


def replay(
    database: Path,
    folder: Path | None,
    projects: Sequence[Path],
    affected: Sequence[date],
    progress: Callable[[str, int, int], None],
) -> Replayed | None:
    """Build what is *affected* as recorded; None when SQLMesh has to build.

    The build is one in *folder*, or one that comes with a project. After an error the affected
    intervals count as not built, so that SQLMesh builds them.
    """
    import duckdb
    from materia_sqlmesh.model_start import START

    try:
        with opened(database) as connection:
            found = fitting_build(connection, folder, projects)
            if found is None or not affected or min(affected) < START:
                return None
            return _Replay(connection, found, affected, progress).run()
    except (duckdb.Error, CannotReplayError):
        return None


@dataclass
class _Replay:
    connection: duckdb.DuckDBPyConnection
    found: FoundBuild
    affected: Sequence[date]
    progress: Callable[[str, int, int], None]
    recent: tuple[date, date] = field(default_factory=since_yesterday)
    audits: int = 0
    findings: list[tuple[RecordedModel, Finding, tuple[str, ...]]] = field(default_factory=list)

    def run(self) -> Replayed:
        now = max([datetime.now(tz=UTC), *(_midnight(day) + DAY for day in self.affected)])
        until = now.date()
        if self.found.first is None:
            bounds = self._bounds()
            self._forget()
            models = [one for one in self.found.build.models if one.kind not in KEPT]
        else:
            bounds = self._begun(self.found.first)
            models = list(self.found.build.models)
        for done, model in enumerate(models, 1):
            built = bounds.get((model.node, model.identifier))
            if built is None:
                raise CannotReplayError(model.name)
            days = self._days(model, built, until)
            for first, end in days if model.kind == BY_TIME else days[-1:]:
                self._build(model, first, end)
                self._audit(model, first, end)
            self._add(model, days)
            self.progress(model.name, done, len(models))
        sentences = [
            with_rows(finding, model.grain, self._asked, conditions=columns)
            for model, finding, columns in self.findings
        ]
        note_ended(fetching(self.connection), self.connection.execute)
        return Replayed(
            tables=self.found.build.tables,
            models=len(models),
            audits=self.audits,
            warnings=tuple(dict.fromkeys(sentences)),
            made_in=self.found.build.made_in,
            skipped=self.found.skipped,
        )

    def _begun(self, first: FirstBuild) -> dict[tuple[str, str], tuple[date, date]]:
        """Make all tables and views, and SQLMesh's state, which has no day of any model yet."""
        self.connection.execute("BEGIN")
        for statement in first.filled(_now()):
            self.connection.execute(statement)
        self.connection.execute("COMMIT")
        starts = {node: _day(start) for node, start in first.starts.items()}
        return {
            (one.node, one.identifier): (starts[one.node], starts[one.node])
            for one in self.found.build.models
        }

    def _bounds(self) -> dict[tuple[str, str], tuple[date, date]]:
        """The first day that is built of each version, and the day after the last one.

        SQLMesh has built all days from the first one on, which is the start of the model.
        """
        rows = self.connection.execute(
            f"SELECT name, identifier, min(start_ts), max(end_ts) FROM {STATE}._intervals "
            "WHERE NOT is_dev AND NOT is_removed GROUP BY ALL"
        ).fetchall()
        try:
            return {(name, one): (_day(start), _day(end)) for name, one, start, end in rows}
        except (OverflowError, ValueError, OSError) as error:  # of a database from elsewhere
            raise CannotReplayError from error

    def _forget(self) -> None:
        """Mark in SQLMesh's state what is affected as not built, for every version of a model."""
        at_once = f"{literal(FULL)}, {literal(VIEW)}"
        kept = ", ".join(map(literal, sorted(KEPT)))
        changes = [
            (f"kind_name IN ({at_once})", self.recent),
            (f"kind_name NOT IN ({at_once}, {literal(BY_TIME)}, {kept})", ALWAYS),
            *((f"kind_name = {literal(BY_TIME)}", span) for span in spans(self.affected)),
        ]
        self.connection.execute("BEGIN")
        self.connection.execute(f"DROP TABLE {ENDED}")
        for kinds, (first, last) in changes:
            self.connection.execute(
                f"INSERT INTO {STATE}._intervals BY NAME SELECT {_id()}, {_now()} AS created_ts, "
                f"name, identifier, version, dev_version, {milliseconds(first)} AS start_ts, "
                f"{milliseconds(last + DAY)} AS end_ts, false AS is_dev, true AS is_removed, "
                "false AS is_compacted, false AS is_pending_restatement FROM "
                f"(SELECT DISTINCT name, identifier, version, dev_version FROM {STATE}._intervals "
                f"WHERE (name, version) IN (SELECT (name, version) FROM {STATE}._snapshots WHERE "
                f"{kinds}))"
            )
        self.connection.execute("COMMIT")

    def _days(
        self, model: RecordedModel, built: tuple[date, date], until: date
    ) -> list[tuple[date, date]]:
        """The intervals to build, from the first day until before the last, oldest first."""
        forgotten = spans(self.affected) if model.kind == BY_TIME else [self.recent]
        lacking = [(first, last + DAY) for first, last in forgotten] + [(built[1], until)]
        start, _ = built
        found: list[tuple[date, date]] = []
        for first, end in sorted((max(first, start), min(end, until)) for first, end in lacking):
            if found and first <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], end))
            elif first < end:
                found.append((first, end))
        return found

    def _build(self, model: RecordedModel, first: date, end: date) -> None:
        self.connection.execute("BEGIN")
        for statement in model.statements:
            self.connection.execute(_filled(model, statement, first, end))
        self.connection.execute("COMMIT")

    def _audit(self, model: RecordedModel, first: date, end: date) -> None:
        for audit in model.audits:
            query = _filled(model, audit.query, first, end)
            counted = self.connection.execute(f"SELECT COUNT(*) FROM ({query}) AS audit").fetchone()
            rows = counted[0] if counted else 0
            self.audits += 1
            if rows and audit.blocking:
                raise CannotReplayError(audit.name)  # SQLMesh finds it again, and names it
            if rows:
                finding = Finding(
                    model=model.name,
                    sentence=found_sentence(model.name, audit.name, rows),
                    rows=rows,
                    query=query,
                )
                self.findings.append((model, finding, audit.columns))

    def _add(self, model: RecordedModel, days: Sequence[tuple[date, date]]) -> None:
        """Record in SQLMesh's state that a model is built."""
        for first, end in days:
            self.connection.execute(
                f"INSERT INTO {STATE}._intervals BY NAME SELECT {_id()}, {_now()} AS created_ts, "
                f"name, identifier, version, dev_version, {milliseconds(first)} AS start_ts, "
                f"{milliseconds(end)} AS end_ts, false AS is_dev, false AS is_removed, false AS "
                f"is_compacted, false AS is_pending_restatement, {_now()} AS last_altered_ts "
                f"FROM {STATE}._snapshots WHERE name = {literal(model.node)} "
                f"AND identifier = {literal(model.identifier)}"
            )

    def _asked(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        found = self.connection.execute(sql)
        return [str(column[0]) for column in found.description], found.fetchall()


def _filled(model: RecordedModel, text: str, first: date, end: date) -> str:
    if model.kind != BY_TIME:
        return text
    return text.replace(FIRST_DAY, f"{first}").replace(LAST_DAY, f"{end - DAY}")


def _id() -> str:
    return "replace(uuid()::VARCHAR, '-', '') AS id"


def _now() -> int:
    return time.time_ns() // 1_000_000


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _day(when: int) -> date:
    return datetime.fromtimestamp(when / 1000, tz=UTC).date()
