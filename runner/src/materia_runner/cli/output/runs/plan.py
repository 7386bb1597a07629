"""Render the saved plan of a run: the quotes that were compared, and the choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from materia.compute import Money

from materia_runner.cli.output.text import many, table
from materia_runner.codec import decode
from materia_runner.figures import money_text

SHOWN = 5  # quotes of a placement, and reasons why offers were passed over
Values = Mapping[str, Any]


def plan_text(plan: Values | None) -> str:
    """Render a plan in the form of `plan_values`; skip values that an older version lacks."""
    if not plan:
        return ""
    sums = [
        f"{word} {_money(plan[name])}"
        for name, word in (("total", "expected to cost"), ("worst", "at most"))
        if plan.get(name) and Decimal(plan[name]["amount"])
    ]
    lines = [f"plan: {', '.join(sums)}" if sums else "plan:"]
    if plan.get("why"):
        lines.append(f"  {plan['why']}")
    lines += [f"  not chosen: {text}" for text in _others(plan.get("alternatives") or ())]
    for placement in plan.get("placements") or ():
        lines += [f"  {line}" for line in _placement(placement)]
    lines += [f"  no answer: {one['reason']}" for one in plan.get("unanswered") or ()]
    lines += [f"  {line}" for line in plan.get("left_out") or ()]
    return "\n".join(lines)


def _others(alternatives: Sequence[Values]) -> Iterator[str]:
    for one in alternatives[1:]:  # the sentence `why` has the first
        total = _money(one["total"]) if one.get("total") else one.get("reason", "")
        yield f"{one.get('sharing', '')}: {total}"


def _placement(placement: Values) -> Iterator[str]:
    quotes = placement.get("quotes") or ()
    count = len(quotes) + placement.get("more_quotes", 0)
    stages = " and ".join(map(_stage, placement.get("stages") or ()))
    chosen = f"the first of {count:,} offers that fit" if count > 1 else "the only offer that fits"
    yield f"{stages}: chose {chosen}" if count else f"{stages}: no offer was kept"
    rows = [_quote(number, quote) for number, quote in enumerate(quotes[:SHOWN], start=1)]
    if rows:
        shown = table(rows, head=("", "provider", "type", "place", "cost", "availability"))
        yield from (f"  {line}" for line in shown.splitlines())
    passed = sorted(placement.get("passed_over") or (), key=lambda one: -one["count"])
    for one in passed[:SHOWN]:
        yield f"  passed over {one['count']} of {one['provider']}: {one['reason']}"
    if len(passed) > SHOWN:
        left = sum(one["count"] for one in passed[SHOWN:])
        yield f"  passed over {many(left, 'more offer')}; --json has why"


def _stage(stage: Values) -> str:
    sources = stage.get("sources")
    return f"{stage['name']} ({', '.join(sources)})" if sources else stage["name"]


def _quote(number: int, quote: Values) -> tuple[str, ...]:
    offer = quote.get("offer") or {}
    amount = quote.get("cost")
    return (
        str(number),
        offer.get("provider", ""),
        offer.get("instance_type", ""),
        offer.get("zone") or offer.get("region", ""),
        _money(amount) if amount else "",
        offer.get("availability", ""),
    )


def _money(value: Values) -> str:
    money: Money = decode(Money, value)
    return money_text(money)
