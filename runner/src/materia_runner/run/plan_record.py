"""Record the plan of a run in the ledger, with the release that its machines run."""

from __future__ import annotations

from materia_runner.codec import plain
from materia_runner.planning.available_offers import AvailableOffers
from materia_runner.planning.plan import Plan
from materia_runner.planning.plan_json import plan_values
from materia_runner.run.context import RunContext


def save_plan(context: RunContext, plan: Plan, available: AvailableOffers, *, owned: bool) -> None:
    """Write the plan to the ledger, with the release that rented machines run, if any.

    Raises:
        ArtifactError: the channel has no release that this machine can run.
    """
    if not owned:
        context.pin()
    values = {
        **plan_values(plan),
        "unanswered": plain(available.unanswered),
        "left_out": list(available.left_out),
    }
    if context.pinned is not None:
        values["release"] = context.pinned.release.id
    context.recorder.ledger.save_plan(context.run, values)
