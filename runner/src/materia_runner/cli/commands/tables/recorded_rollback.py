"""Roll back the published tables to an earlier run, as a run of its own in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from materia.errors import MateriaError

from materia_runner.ledger.rows import RunRow
from materia_runner.ledger.run_record import new_run, recorded_run
from materia_runner.run.ledger_copy import opened
from materia_runner.signals import interrupts

if TYPE_CHECKING:
    from materia.protocols import HasHistory

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.ledger.state import State


def roll_back(
    keeper: HasHistory,
    to: str,
    *,
    pipeline: Pipeline,
    environment: Mapping[str, str],
    state: State,
    said: str,
    clean: Callable[[str], str],
    warn: Callable[[str], None],
) -> str:
    """Publish the tables of the run *to* again; the identity of this run.

    The ledger records it before it begins, and the bucket of artifacts, if there is one, gets a
    copy of that record when it ends. A bucket that cannot be used is a warning.

    Args:
        keeper: The sink.
        to: A run that *keeper* lists.
        pipeline: The pipeline.
        environment: Variables with the secrets of the bucket of artifacts.
        state: The state folder.
        said: What the rollback does, for the ledger.
        clean: Redacts secrets from the reason of a failure.
        warn: Shows a warning.

    Raises:
        Interrupted: on SIGINT, SIGTERM or SIGHUP.
        MateriaError: nothing was published.
    """
    now = datetime.now(UTC)
    run = new_run(now)
    row = RunRow(
        run=run,
        started_at=now,
        sink=pipeline.sink,
        directory=str(pipeline.directory.absolute()),
    )
    with interrupts(), state.hold(run), state.ledger() as ledger:
        try:
            with recorded_run(ledger, row, clean=clean):
                ledger.note(run, at=now, stage="", text=said)
                keeper.roll_back(to, run=run)
        finally:
            try:
                if copies := opened(pipeline, environment, state=state, ledger=ledger):
                    copies.push(run, alive=False)
            except MateriaError as error:
                warn(f"the ledger in the bucket was left out: {error}")
    return run
