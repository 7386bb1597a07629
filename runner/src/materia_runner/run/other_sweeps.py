"""Notice before the first rent that no other computer is known to sweep."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

from materia.errors import MateriaError

from materia_runner.run.context import RunContext

NOTICE = (
    "no other computer is known to sweep: while this one sleeps or is broken, a machine that it "
    "left costs money. `materia schedule show --gitlab` prints sweeps for GitLab, docs/schedule.md "
    "has a supervisor, and `[schedule] swept_elsewhere = true` says that one sweeps"
)


def notice_of_sweeps(context: RunContext) -> None:
    """Say, once in a run, that no other computer is known to sweep.

    One is known by the setting `swept_elsewhere`, and by its sweep of the last two hours, which is
    in the bucket.
    """
    if NOTICE in context.said or context.pipeline.schedule.swept_elsewhere:
        return
    context.said.add(NOTICE)
    if not _one_sweeps(context):
        context.recorder.say(context.pipeline.stages[0].name, NOTICE)


def _one_sweeps(context: RunContext) -> bool:
    pipeline = context.pipeline
    if pipeline.artifacts is None:
        return False
    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.schedule.sweeps import read_sweeps, sweeps_elsewhere

    try:
        sweeps = read_sweeps(ArtifactBucket(pipeline.artifacts, context.environment), pipeline.name)
    except MateriaError:  # the lease has warned
        return False
    return sweeps_elsewhere(sweeps, host=socket.gethostname(), now=datetime.now(UTC))
