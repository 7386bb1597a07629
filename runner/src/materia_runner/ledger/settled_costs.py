"""Cache of cost sums in the ledger, so that a report does not add up ten thousand runs again.

A machine is settled when it and all earlier machines are gone or refused. The sums cover all
machines up to one number; SQLite triggers delete them when a settled machine or one of its attempts
changes after all, whichever version of materia changes it.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from decimal import Decimal

from materia.compute import Money

from materia_runner.ledger.bills import (
    ATTEMPTS,
    GONE_MACHINES,
    Attempt,
    BilledMachine,
    attempt,
    gone_machine,
)
from materia_runner.ledger.columns import column
from materia_runner.ledger.costs import cost_rows
from materia_runner.ledger.rows import CostRow

ENOUGH = 500  # to sum fewer new machines is faster than to write their sums
LATEST = (
    "SELECT coalesce(min(CASE WHEN state NOT IN ('gone', 'refused') THEN number END) - 1,"
    " max(number), 0) FROM machines WHERE number > ?"
)
FORGET = "DELETE FROM settled_costs; DELETE FROM settled_machines;"
IS_SETTLED = "{row}.number <= (SELECT number FROM settled_machines)"
ITS_MACHINE_IS = (
    "EXISTS (SELECT 1 FROM machines WHERE run = {row}.run AND name = {row}.machine"
    " AND number <= (SELECT number FROM settled_machines))"
)
TABLES = (
    "CREATE TABLE IF NOT EXISTS settled_machines (number INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS settled_costs (month TEXT, provider TEXT, stage TEXT,
        machines INTEGER, microseconds INTEGER, estimate TEXT, cost TEXT)""",
    *(
        f"CREATE TRIGGER IF NOT EXISTS settled_{table}_{event} AFTER {event} ON {table}"
        f" WHEN {condition.format(row='NEW' if event == 'insert' else 'OLD')} BEGIN {FORGET} END"
        for table, condition in (("machines", IS_SETTLED), ("stages", ITS_MACHINE_IS))
        for event in ("insert", "update", "delete")
    ),
)


def settled_until(connection: sqlite3.Connection) -> int:
    """Number of the last machine in the sums; 0 without sums."""
    made = "SELECT 1 FROM sqlite_schema WHERE name = 'settled_costs'"
    if connection.execute(made).fetchone() is None:
        return 0
    row = connection.execute("SELECT number FROM settled_machines").fetchone()
    return int(row[0]) if row else 0


def worth_settling(connection: sqlite3.Connection) -> bool:
    """Whether enough machines can be settled to make new sums worthwhile."""
    until = settled_until(connection)
    return int(connection.execute(LATEST, (until,)).fetchone()[0]) - until >= ENOUGH


def settle(connection: sqlite3.Connection, now: datetime) -> None:
    """Add the machines that can be settled to the sums; call it in a write transaction."""
    for statement in TABLES:
        connection.execute(statement)
    before = settled_until(connection)
    until = int(connection.execute(LATEST, (before,)).fetchone()[0])
    where, bound = "machine.number > ? AND machine.number <= ?", (before, until)
    machines = map(gone_machine, connection.execute(GONE_MACHINES + where, bound).fetchall())
    attempts = map(attempt, connection.execute(ATTEMPTS + where, bound).fetchall())
    sums = cost_rows(machines, attempts, now, settled_costs(connection, before))
    connection.execute("DELETE FROM settled_costs")
    connection.execute("DELETE FROM settled_machines")
    connection.executemany(
        "INSERT INTO settled_costs VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                row.month,
                row.provider,
                row.stage,
                row.machines,
                row.time // timedelta(microseconds=1),
                column(row.estimate),
                column(row.cost),
            )
            for row in sums
        ],
    )
    connection.execute("INSERT INTO settled_machines VALUES (?)", (until,))


def settled_costs(
    connection: sqlite3.Connection, until: int, after: str = ""
) -> tuple[CostRow, ...]:
    """Read the sums over settled machines up to the number *until*, for months after *after*."""
    if not until:
        return ()
    return tuple(
        CostRow(
            month=month,
            provider=provider,
            stage=stage,
            machines=machines,
            open=0,
            time=timedelta(microseconds=microseconds),
            estimate=_money(estimate),
            cost=_money(cost),
        )
        for month, provider, stage, machines, microseconds, estimate, cost in connection.execute(
            "SELECT * FROM settled_costs WHERE month > ?", (after,)
        )
    )


def costs_since(
    connection: sqlite3.Connection, begin: str
) -> tuple[tuple[CostRow, ...], list[BilledMachine], list[Attempt]]:
    """The cached sums, and the machines and attempts that they do not have.

    Args:
        connection: The ledger, in a transaction.
        begin: Machines requested before this moment, as a column, are left out; empty: none.
    """
    until = settled_until(connection)
    where = "machine.number > ?"
    bound: tuple[str | int, ...] = (until,)
    if begin:  # the cached sums are per month
        where = f"machine.intended_at >= ? AND ({where} OR machine.intended_at LIKE ?)"
        bound = (begin, until, begin[:7] + "%")
    gone = connection.execute(GONE_MACHINES + where, bound).fetchall()
    attempts = connection.execute(ATTEMPTS + where, bound).fetchall()
    return (
        settled_costs(connection, until, after=begin[:7]),
        [gone_machine(row) for row in gone],
        [attempt(row) for row in attempts],
    )


def _money(text: str) -> Money:
    amount, _, currency = text.partition(" ")
    return Money(Decimal(amount), currency)
