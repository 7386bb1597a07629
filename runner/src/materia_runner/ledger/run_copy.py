"""Copy of one run in JSON: what the ledger has of it, for the ledger of another computer.

Other computers can write to the place that a copy comes from, so each value is checked. The copy
of an open machine has no id: a sweep that begins with it looks for the machine by its name, and
providers find by name only what materia's labels mark.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from materia.compute import Money
from materia.forms import Form

from materia_runner.codec import LONGEST_TEXT, MalformedError, decode, parse, plain
from materia_runner.ledger.columns import column, insert
from materia_runner.ledger.plan_and_logs import LogCopy, check_plan
from materia_runner.ledger.rows import MachineRow, Note, RunRow, StageRow

FORMAT = 1
LONGEST = 1 << 23  # bytes
_NAME = Form("the name of a machine", re.compile("[a-z0-9-]+"), 63)
_CURRENCY = re.compile("[A-Z]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCopy:
    """A run with its machines, stages, notes, plan and logs.

    Attributes:
        run: The run.
        machines: Its machines, in the order of their requests.
        stages: The attempts at its stages, in the order of their starts.
        notes: Its newest notes, the oldest first.
        alive_at: When its own process wrote this copy, in UTC; None when another one did.
        plan: Its plan, ready for JSON, or None.
        logs: The logs of its stages; the middle of a long one is missing.
    """

    run: RunRow
    machines: tuple[MachineRow, ...] = ()
    stages: tuple[StageRow, ...] = ()
    notes: tuple[Note, ...] = ()
    alive_at: datetime | None = None
    plan: Mapping[str, Any] | None = None
    logs: tuple[LogCopy, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether the run has ended and none of its machines may exist."""
        return self.run.ended_at is not None and not any(one.is_open for one in self.machines)


def encoded(copy: RunCopy) -> bytes:
    """The text of a copy; texts in it are cut to what `decoded` takes.

    When it is too long for `decoded`, it has the machines and the stages alone.
    """
    values = {"format": FORMAT, **_cut(plain(copy))}
    text = (json.dumps(values, default=str) + "\n").encode()
    if len(text) > LONGEST and (copy.plan or copy.logs or copy.notes):
        return encoded(replace(copy, plan=None, logs=(), notes=()))
    return text


def _cut(value: Any) -> Any:
    match value:
        case str():
            return value[:LONGEST_TEXT]
        case dict():
            return {name: _cut(item) for name, item in value.items()}
        case list():
            return [_cut(item) for item in value]
    return value


def decoded(content: bytes, *, run: str) -> RunCopy:
    """The copy of *run* in a text that any computer may have written.

    Raises:
        MalformedError: it is damaged, or is none of that run.
    """
    try:
        values = parse(content.decode(), longest=LONGEST)
    except UnicodeDecodeError as error:
        raise MalformedError(str(error)) from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise MalformedError("its format is unknown; a newer materia may have written it")
    copy: RunCopy = decode(RunCopy, values, newer=True)
    parts: tuple[RunRow | MachineRow | StageRow | Note, ...]
    parts = (copy.run, *copy.machines, *copy.stages, *copy.notes)
    named = {one.run for one in parts}
    if other := next(iter(named - {run}), None):
        raise MalformedError(f"it has a part of the run {ascii(other)[:80]}")
    machines = tuple(_checked(one) for one in copy.machines)
    open_names = [one.name for one in machines if one.is_open]
    attempts = [(one.stage, one.attempt) for one in copy.stages]
    if len(set(open_names)) != len(open_names) or len(set(attempts)) != len(attempts):
        raise MalformedError("it has a machine or an attempt twice")
    if not {(one.stage, one.attempt) for one in copy.logs} <= set(attempts):
        raise MalformedError("it has a log of an attempt that it does not have")
    if copy.plan is not None:
        check_plan(copy.plan)
    return replace(copy, machines=machines)


def _checked(row: MachineRow) -> MachineRow:
    if not _NAME.fits(row.name) or not row.name.startswith(f"materia-{row.run.lower()}-"):
        raise MalformedError(f"{ascii(row.name)[:80]} is no machine of its run")
    hourly = [row.offer.hourly, *(extra.hourly for extra in row.offer.extras)]
    for amount in (row.estimate, row.worst, *hourly, *([row.cost] if row.cost else [])):
        _check_amount(amount)
    return replace(row, id="") if row.is_open else row


def _check_amount(amount: Money) -> None:
    if amount.amount < 0 or not _CURRENCY.fullmatch(amount.currency):
        raise MalformedError("a cost is no amount of money")


def replace_run(connection: sqlite3.Connection, copy: RunCopy) -> None:
    """Write a copy in place of what the ledger has of the run; call it in a write transaction."""
    for table in ("notes", "stages", "machines", "runs"):
        connection.execute(f"DELETE FROM {table} WHERE run = ?", (copy.run.run,))
    insert(connection, "runs", copy.run)
    for table, rows in (
        ("machines", copy.machines),
        ("stages", copy.stages),
        ("notes", copy.notes),
    ):
        for row in rows:
            insert(connection, table, row)
    update = "UPDATE runs SET plan = ? WHERE run = ?"
    connection.execute(update, (column(copy.plan), copy.run.run))
