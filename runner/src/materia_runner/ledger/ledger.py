"""The ledger: a crash-safe SQLite record of runs, machines, stages and costs.

The runner records its intent before each effect, so every machine that may exist is known. Every
write is one transaction, on disk when the method returns. Many processes may write and read at
once. Callers redact secrets; this module does not.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from materia.compute import Money
from materia.errors import ConfigError, MateriaError

from materia_runner.ledger.columns import Column, column, insert, row_from
from materia_runner.ledger.rows import (
    CostRow,
    MachineRow,
    MachineState,
    Note,
    RunRow,
    RunState,
    StageRow,
    StageState,
)
from materia_runner.ledger.schema import open_file, translated_errors

if TYPE_CHECKING:
    from materia_runner.ledger.run_copy import RunCopy
    from materia_runner.pricing.cost import Line

T = TypeVar("T")
NEWEST = 5  # attempts that the expected time of a stage is computed from
IS_OPEN = "state NOT IN ('gone', 'refused')"


class Ledger:
    """The ledger in one file; usable from several threads."""

    def __init__(self, path: Path) -> None:
        """Open *path*, and create it when missing.

        Raises:
            ConfigError: it cannot be opened, or a newer materia wrote it.
            LedgerError: it is damaged.
        """
        self.path = path
        self._lock = threading.RLock()
        self._connection = open_file(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        with self._lock:
            self._connection.close()

    def begin_run(self, row: RunRow) -> None:
        """Record the start of a run."""
        self._insert("runs", row)

    def end_run(self, run: str, state: RunState, *, at: datetime, error: str | None = None) -> bool:
        """Record the end of a run and its stages; False when it had ended before (no change)."""
        with self._writing() as connection:
            moment = column(at)
            changed = connection.execute(
                "UPDATE runs SET state = ?, ended_at = ?, error = ? "
                "WHERE run = ? AND ended_at IS NULL",
                (state, moment, error, run),
            )
            connection.execute(
                "UPDATE stages SET state = 'interrupted', ended_at = ? "
                "WHERE run = ? AND ended_at IS NULL",
                (moment, run),
            )
            return changed.rowcount > 0

    def replace_run(self, copy: RunCopy) -> None:
        """Write a run of another computer, in place of what this ledger has of it."""
        from materia_runner.ledger.run_copy import replace_run

        with self._writing() as connection:
            replace_run(connection, copy)

    def is_running(self, run: str) -> bool:
        """Whether *run* has a recorded start and no recorded end."""
        with self._reading() as connection:
            unended = "SELECT 1 FROM runs WHERE run = ? AND ended_at IS NULL"
            return connection.execute(unended, (run,)).fetchone() is not None

    def knows(self, run: str) -> bool:
        """Whether the ledger has a run with exactly this identity."""
        with self._reading() as connection:
            known = "SELECT 1 FROM runs WHERE run = ?"
            return connection.execute(known, (run,)).fetchone() is not None

    def save_plan(self, run: str, plan: Mapping[str, object]) -> None:
        """Save the plan of a run, ready for JSON; it replaces an earlier plan."""
        with self._writing() as connection:
            connection.execute("UPDATE runs SET plan = ? WHERE run = ?", (column(plan), run))

    def plan(self, run: str) -> Mapping[str, object] | None:
        """The plan that was saved last, or None."""
        with self._reading() as connection:
            row = connection.execute("SELECT plan FROM runs WHERE run = ?", (run,)).fetchone()
        plan: Mapping[str, object] | None = json.loads(row[0]) if row and row[0] else None
        return plan

    def intend_machine(self, row: MachineRow) -> None:
        """Record a machine before the runner requests it.

        Raises:
            LedgerError: an open machine has this name.
        """
        self._insert("machines", row)

    def machine_created(
        self,
        name: str,
        *,
        id: str,  # noqa: A002 -- the word of the instance it comes from
        region: str,
        created_at: datetime | None,
        at: datetime,
    ) -> bool:
        """Record that the machine exists.

        This and the methods below return False, and change nothing, when no open machine has the
        name.

        Args:
            name: Name from `intend_machine`.
            id: The provider's id.
            region: The provider's name of the region.
            created_at: When the provider says it was created.
            at: When the provider answered; used when *created_at* is None.
        """
        made = column(created_at or at)
        return self._machine(name, "created", id=id, region=region, created_at=made)

    def machine_ready(self, name: str, *, host: str | None, at: datetime) -> bool:
        """Record that the machine can be reached."""
        return self._machine(name, "ready", host=host, ready_at=column(at))

    def machine_destroying(self, name: str, *, at: datetime) -> bool:
        """Record the teardown before the runner requests it; the first time is kept."""
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE machines SET state = 'destroying', destroying_at = "
                f"coalesce(destroying_at, ?) WHERE name = ? AND {IS_OPEN}",
                (column(at), name),
            )
            return changed.rowcount > 0

    def machine_gone(
        self, name: str, *, at: datetime, cost: Money, lines: Sequence[Line] = ()
    ) -> bool:
        """Record that the provider no longer lists the machine, with its cost."""
        bill = column(tuple(lines))
        return self._machine(name, "gone", gone_at=column(at), cost=column(cost), lines=bill)

    def machine_failed(self, name: str, reason: str) -> bool:
        """Record that nothing was created, so nothing is billed."""
        return self._machine(name, "refused", reason=reason)

    def prune_plans(self, *, newest: int) -> tuple[str, ...]:
        """Drop the plans of all but the *newest* ended runs; returns the runs that keep theirs.

        Records of runs, machines and costs stay for ever. A second call changes nothing.
        """
        with self._writing() as connection:
            kept = connection.execute(
                "SELECT run FROM runs WHERE ended_at IS NULL UNION "
                "SELECT run FROM (SELECT run FROM runs ORDER BY run DESC LIMIT ?)",
                (newest,),
            ).fetchall()
            names = [run for (run,) in kept]
            connection.execute(
                "UPDATE runs SET plan = NULL WHERE plan IS NOT NULL AND run NOT IN "
                f"({', '.join('?' * len(names))})",
                names,
            )
        return tuple(names)

    def begin_stage(self, row: StageRow) -> None:
        """Record the start of an attempt at a stage."""
        self._insert("stages", row)

    def end_stage(
        self,
        run: str,
        stage: str,
        attempt: int,
        *,
        state: StageState,
        at: datetime,
        result: Mapping[str, object] | None = None,
        error: str | None = None,
    ) -> bool:
        """Record the end of an attempt; False when it had ended before: nothing changes."""
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE stages SET state = ?, ended_at = ?, result = ?, error = ? "
                "WHERE run = ? AND stage = ? AND attempt = ? AND ended_at IS NULL",
                (state, column(at), column(result), error, run, stage, attempt),
            )
            return changed.rowcount > 0

    def note(self, run: str, *, at: datetime, stage: str, text: str) -> None:
        """Record a note."""
        self._insert("notes", Note(run=run, at=at, stage=stage, text=text))

    def runs(
        self, *, limit: int | None = None, since: datetime | None = None
    ) -> tuple[RunRow, ...]:
        """Runs that began at *since* or later, newest first."""
        where = "started_at >= ?" if since else "true"
        bound = [column(since)] if since else []
        newest = "ORDER BY started_at DESC, run DESC LIMIT ?"
        return self._rows(
            RunRow, "runs", f"{where} {newest}", *bound, -1 if limit is None else limit
        )

    def run(self, identity: str) -> RunRow:
        """The run of this identity, or the only one whose identity begins with it.

        Raises:
            ConfigError: there is none, or there are several.
        """
        # No LIKE: an identity is text, not a pattern.
        found = self._rows(
            RunRow,
            "runs",
            "substr(run, 1, length(?)) = ? ORDER BY run = ? DESC, run DESC LIMIT 6",
            *(identity,) * 3,
        )
        if not found:
            raise ConfigError(f"there is no run {identity!r}; `materia runs` lists all runs")
        if len(found) > 1 and found[0].run != identity:
            names = ", ".join(row.run for row in found[:5])
            more = ", ..." if len(found) > 5 else ""
            raise ConfigError(f"{identity!r} is the beginning of several runs: {names}{more}")
        return found[0]

    def machines(
        self, *, run: str | None = None, open_only: bool = False
    ) -> tuple[MachineRow, ...]:
        """The machines of one run or of all, in the order of their requests."""
        where = "run = ?" if run is not None else "true"
        bound = [run] if run is not None else []
        only = f" AND {IS_OPEN}" if open_only else ""
        return self._rows(MachineRow, "machines", f"{where}{only} ORDER BY number", *bound)

    def stages(self, run: str) -> tuple[StageRow, ...]:
        """Attempts at the stages of a run, in the order they were started."""
        return self._rows(StageRow, "stages", "run = ? ORDER BY started_at, attempt", run)

    def notes(self, run: str) -> tuple[Note, ...]:
        """The notes of a run, oldest first."""
        return self._rows(Note, "notes", "run = ? ORDER BY at, number", run)

    def costs(self, *, since: datetime | None = None, now: datetime) -> tuple[CostRow, ...]:
        """Cost of machines requested since *since*, by month, provider and stage.

        Old machines are summed only once: `settled_costs` caches their sums in the file.
        """
        from materia_runner.ledger.bills import billed
        from materia_runner.ledger.costs import cost_rows
        from materia_runner.ledger.settled_costs import costs_since

        begin = str(column(since)) if since else ""
        with suppress(MateriaError):  # sums that cannot be written are computed each time
            self._settle_costs(now)
        with self._snapshot() as connection:
            sums, machines, attempts = costs_since(connection, begin)
            still_open = self._rows(
                MachineRow, "machines", f"intended_at >= ? AND {IS_OPEN}", begin
            )
        machines += [billed(row, now) for row in still_open if row.rented]
        return cost_rows(machines, attempts, now, sums)

    def _settle_costs(self, now: datetime) -> None:
        from materia_runner.ledger.settled_costs import settle, worth_settling

        with self._reading() as connection:
            if not worth_settling(connection):
                return
        with self._writing() as connection:
            settle(connection, now)

    def month_spent(self, month: date, now: datetime) -> tuple[Money, ...]:
        """Cost of the machines requested in the month of the day *month*: an amount per currency.

        A machine that is gone counts with its cost; an open one with its worst case, or with its
        cost until *now* when that is more. Empty when nothing was rented.
        """
        from materia_runner.ledger.costs import spent

        pattern = f"{month:%Y-%m}"
        wanted = self._rows(
            MachineRow, "machines", "substr(intended_at, 1, 7) = ? ORDER BY number", pattern
        )
        return spent(wanted, now)

    def expected(self, source: str, stage: str) -> timedelta | None:
        """Expected time that the stage needs a rented machine, boot and teardown included.

        It is the median of the last 5 successful runs on real data; None without any.
        """
        done = self._rows(
            StageRow,
            "stages",
            "state = 'ok' AND stage = ?"
            " AND run IN (SELECT run FROM runs WHERE source = ? AND NOT sample)"
            " AND EXISTS (SELECT 1 FROM machines WHERE machines.run = stages.run"
            "  AND name = machine AND machines.state = 'gone' AND CAST(cost AS REAL) > 0)"
            " ORDER BY started_at DESC LIMIT ?",
            stage,
            source,
            NEWEST,
        )
        if not done:
            return None
        from materia_runner.ledger.costs import time_needed

        runs = sorted({one.run for one in done})
        machines = {(row.run, row.name): row for run in runs for row in self.machines(run=run)}
        return time_needed(
            [(one, machines[one.run, one.machine]) for one in done],
            [other for run in runs for other in self.stages(run)],
        )

    def _insert(self, table: str, row: RunRow | MachineRow | StageRow | Note) -> None:
        with self._writing() as connection:
            insert(connection, table, row)

    def _machine(self, name: str, state: MachineState, **values: Column) -> bool:
        """Move the open machine *name* to a later state; False when there is no such machine."""
        settings = "".join(f", {field} = ?" for field in values)
        allowed = {
            "created": "state IN ('intent', 'created')",
            "ready": "state IN ('created', 'ready')",
            "gone": IS_OPEN,
            "refused": "state = 'intent'",
        }[state]
        with self._writing() as connection:
            changed = connection.execute(
                f"UPDATE machines SET state = ?{settings} WHERE name = ? AND {allowed}",
                (state, *values.values(), name),
            )
            return changed.rowcount > 0

    def _rows(self, kind: type[T], table: str, where: str, *bound: Column) -> tuple[T, ...]:
        with self._reading() as connection:
            cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}", bound)
            names = [described[0] for described in cursor.description]
            found = cursor.fetchall()
        return tuple(row_from(kind, names, values) for values in found)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated_errors(self.path):
            yield self._connection

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read transaction: several queries see the same data while other processes write."""
        with self._reading() as connection:
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Write transaction: at the end of the block all of it is on disk, or nothing."""
        with self._lock, translated_errors(self.path):
            try:  # a signal may come between any two lines
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
