"""Warn of orphaned machines that a killed run left behind, before every command but the sweep."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from materia_runner.cli.echo import echo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from materia_runner.ledger.rows import MachineRow
    from materia_runner.ledger.state import State


def tell_of_leftovers() -> None:
    """Name on standard error the machines that may cost money though no run uses them.

    Only lists a folder when nothing is left; opens the ledger only when something may be.
    """
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State

    state = State(state_folder(os.environ))
    if runs := state.unfinished():
        _tell(state, runs)


def _tell(state: State, runs: Sequence[str]) -> None:
    from datetime import UTC, datetime

    from materia.errors import MateriaError

    from materia_runner.rental.sweep_ledger import close_dead_runs

    now = datetime.now(UTC)
    try:
        with state.ledger() as ledger:
            close_dead_runs(state, ledger, at=now)
            for run in runs:
                if not ledger.knows(run):
                    echo(f"materia: {unknown(run)}", err=True)
                for row in ledger.machines(run=run, open_only=True):
                    if row.rented:
                        echo(f"materia: {sentence(row, now)}", err=True)
    except MateriaError as error:  # must not stop the command itself
        echo(f"materia: warning: {error}", err=True)


def unknown(run: str) -> str:
    """Notice for a run that is missing in the ledger."""
    return (
        f"run {run} was started here, did not end well, and is not in the ledger; it may have left "
        "a machine; to destroy it: `materia sweep --all-providers`"
    )


def sentence(row: MachineRow, now: datetime) -> str:
    """Notice for a machine that was left: since when, its cost so far, and the remedy."""
    from materia_runner.figures import moment_text, money_text

    if row.state == "intent":
        since = f"{moment_text(row.intended_at)} UTC"
        left, costing = f"may have left a machine on {row.provider} at {since}", ""
    else:
        from materia_runner.rental.sweep_ledger import bill

        since = f"{moment_text(row.created_at or row.intended_at)} UTC"
        cost = bill(row, at=now).cost
        left = f"left a machine on {row.provider} since {since}"
        costing = f", costing {money_text(cost)} so far"
    return f"run {row.run} {left}{costing}; to destroy it: `materia sweep`"
