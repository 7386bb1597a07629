"""Serialize a plan to JSON values, for `--json` and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from materia.compute import Offer

from materia_runner.codec import plain
from materia_runner.config.pipeline import Stage
from materia_runner.planning.explain import counted
from materia_runner.planning.plan import Placement, Plan, offer_key
from materia_runner.pricing.offer_cache import quote_values

# Quotes of one placement: there may be thousands.
LIMIT = 10


def plan_values(plan: Plan) -> dict[str, Any]:
    """The whole *plan* with exact amounts as text, and the best quotes of each placement."""
    return {
        "total": plain(plan.total),
        "worst": plain(plan.worst),
        "why": plan.why,
        "placements": [_placement(placement) for placement in plan.placements],
        "alternatives": plain(plan.alternatives),
    }


def with_placements(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A plan from the ledger with current keys: `placements` was once called `legs`."""
    return {"placements" if name == "legs" else name: value for name, value in values.items()}


def _placement(placement: Placement) -> Mapping[str, Any]:
    quotes = placement.ranking.quotes
    return {
        "stages": [_stage(stage) for stage in placement.stages],
        "requirements": plain(placement.requirements),
        "start": plain(placement.start),
        "expected": plain(placement.requirements.expected),
        "deadline": plain(placement.deadline),
        "worst": plain(placement.worst),
        "worst_case": placement.worst_case,
        "arrival": plain(placement.arrival),
        **({"arrivals": plain(placement.arrivals)} if len(placement.arrivals) > 1 else {}),
        "chosen": _key(placement.chosen.offer),
        "quotes": [quote_values(quote) for quote in quotes[:LIMIT]],
        "more_quotes": max(len(quotes) - LIMIT, 0),
        "passed_over": [
            {"provider": provider, "reason": reason, "count": count}
            for provider, reason, count in counted(placement.ranking.passed_over)
        ],
    }


def _stage(stage: Stage) -> Mapping[str, Any]:
    says = "materia.toml" if stage.minutes_configured else "default"
    return {
        "name": stage.name,
        **({"sources": list(stage.sources)} if stage.sources else {}),
        "expected": plain(stage.requirements.expected),
        "expected_from": "earlier runs" if stage.minutes_learnt else says,
        "deadline": plain(stage.deadline),
        "output_gib": plain(stage.output_gib),
    }


def _key(offer: Offer) -> Mapping[str, str]:
    values: Mapping[str, str] = plain(offer_key(offer))
    return values
