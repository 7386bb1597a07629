"""Record the plan of a run in the ledger and in its log: the release, and the chosen machines."""

from __future__ import annotations

from materia_runner.codec import plain
from materia_runner.figures import money_text
from materia_runner.planning.available_offers import AvailableOffers
from materia_runner.planning.plan import Placement, Plan
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


def chosen_text(placement: Placement) -> str:
    """The machine of a placement and what it costs, as one line of the log."""
    quote = placement.chosen
    offer = quote.offer
    place = offer.zone or offer.region
    return (
        f"{placement.name} on {offer.provider} {offer.instance_type} in {place}: "
        f"about {money_text(quote.shown)}, at most {money_text(placement.worst)}"
    )


def say_left_out(context: RunContext, available: AvailableOffers) -> None:
    """Name providers and offers that take no part, each once in a run.

    Not to be called before there is a plan: an error that there is none has them, too.
    """
    named = bool(context.pipeline.providers)
    lines = [(f"left out: {u.reason}", named or not u.lacking) for u in available.unanswered]
    lines += [(line, True) for line in available.left_out]
    for line, warning in lines:
        if line not in context.said:
            context.said.add(line)
            context.recorder.say(context.pipeline.stages[0].name, line, warning=warning)
