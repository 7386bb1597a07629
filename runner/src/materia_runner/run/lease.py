"""Hold the lease of the pipeline in the bucket while a run rents machines."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from materia.errors import ArtifactError, MateriaError

from materia_runner.run.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from materia_runner.ledger.ledger import Ledger
    from materia_runner.planning.plan import Placement

# To build artifacts before the first machine, and to destroy the last one.
MARGIN = timedelta(minutes=30)


def hold_lease(context: RunContext, placements: Sequence[Placement]) -> None:
    """Take the lease before a machine is rented, until the deadlines of all of *placements*.

    It is extended before each further machine. Without a bucket there is none. When the bucket
    cannot be used, the run goes on with a warning: the machines would be rented without it, too.

    Raises:
        BusyError: another run has the lease.
        MissingSecretError: the bucket's credentials are missing.
    """
    pipeline = context.pipeline
    if pipeline.artifacts is None:
        return
    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.schedule.lease import LeaseKeeper

    if context.lease is None:
        bucket = ArtifactBucket(pipeline.artifacts, context.environment)
        host = socket.gethostname()
        context.lease = LeaseKeeper(bucket, pipeline.name, run=context.run, host=host)
    longest = sum((one.deadline for one in placements), MARGIN)

    def is_dead(run: str) -> bool:
        ledger, state = context.recorder.ledger, context.state
        if state.is_elsewhere(run) and not _is_refreshed(context):
            return False
        if state.is_alive(run) or not ledger.knows(run):
            return False
        # Of another computer: what it left is destroyed first.
        return not (state.is_elsewhere(run) and _may_exist(ledger, run))

    try:
        context.lease.take(datetime.now(UTC) + longest, is_dead=is_dead)
    except ArtifactError as error:
        warning = f"no lease, so another computer may run this pipeline, too: {error}"
        context.recorder.say(pipeline.stages[0].name, warning, warning=True)


def _is_refreshed(context: RunContext) -> bool:
    """Whether the ledger here has what the runs of other computers wrote to the bucket by now.

    What it read when this run began may be hours old.
    """
    if context.copies is None:
        return False
    try:
        context.copies.restore(now=datetime.now(UTC))
    except MateriaError:
        return False
    return True


def _may_exist(ledger: Ledger, run: str) -> bool:
    """Whether a rented machine of *run* may exist, by the ledger."""
    return any(row.rented for row in ledger.machines(run=run, open_only=True))


def release_lease(context: RunContext) -> None:
    """Give the lease back when the run has ended; a failure is a warning.

    The lease of a run that may have left a machine stays until that machine's deadline: another
    computer would rent a second one beside it.
    """
    if context.lease is None:
        return
    try:
        if _may_exist(context.recorder.ledger, context.run):
            warning = (
                "the lease of this run is kept until the deadline of what may be left, or until a "
                "sweep has destroyed it: no other computer rents meanwhile"
            )
            context.recorder.say(context.pipeline.stages[0].name, warning, warning=True)
            return
        context.lease.release()
    except MateriaError as error:
        warning = f"the lease of this run was not released, and ends by itself later: {error}"
        context.recorder.say(context.pipeline.stages[0].name, warning, warning=True)
