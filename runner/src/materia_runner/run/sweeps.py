"""Sweep what earlier runs left, and notice before the first rent that no other computer sweeps."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from functools import partial

from materia.errors import MateriaError
from materia_providers.clock import provider_time

from materia_runner.concurrency import ask_each
from materia_runner.planning.available_offers import AvailableOffers
from materia_runner.rental.sweep import Swept, sweep_provider
from materia_runner.run.context import RunContext

SWEEP_PATIENCE = timedelta(minutes=2)
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


def sweep_earlier_runs(context: RunContext, available: AvailableOffers) -> None:
    """Sweep orphaned machines of earlier runs at the providers in use; warn of failures."""
    first = context.pipeline.stages[0].name
    context.recorder.doing("look for machines left behind", stage=first)

    def sweep(name: str) -> Swept | MateriaError:
        try:
            provider = available.providers[name]
            now = provider_time(provider).now
            return sweep_provider(provider, name=name, state=context.state, now=now)
        except MateriaError as error:
            return error

    names = sorted(available.providers)
    results = ask_each([(name, partial(sweep, name)) for name in names], patience=SWEEP_PATIENCE)
    for name, result in zip(names, results, strict=True):
        if isinstance(result, Swept):
            for line in result.unseen:
                context.recorder.say(first, f"not swept: {line}", warning=True)
            for left in result.found:
                if left.instance.name not in result.left:
                    message = f"destroyed {left.instance.name}, left behind by an earlier run"
                    context.recorder.say(first, message, warning=True)
            continue
        reason = result or f"{name}: no answer; run `materia sweep` later"
        context.recorder.say(first, f"not swept: {reason}", warning=True)
