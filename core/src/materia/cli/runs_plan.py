"""The plan of a run, as it was saved: what was compared, and what was chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from materia.cli.words import many, table
from materia.cost import money_text
from materia.ledger_values import from_plain
from materia.machines import Money

SHOWN = 5  # quotes of a leg, and reasons to pass an offer over
Values = Mapping[str, Any]


def plan_text(plan: Values | None) -> str:
    """A saved plan for people; what another version did not write is left out."""
    if not plan:
        return ""
    sums = [
        f"{word} {_money(plan[name])}"
        for name, word in (("total", "expected to cost"), ("worst", "at most"))
        if plan.get(name)
    ]
    lines = [f"plan: {', '.join(sums)}" if sums else "plan:"]
    if plan.get("why"):
        lines.append(f"  {plan['why']}")
    for leg in plan.get("legs") or ():
        lines += [f"  {line}" for line in _leg(leg)]
    lines += [f"  instead: {text}" for text in _alternatives(plan.get("alternatives") or ())]
    lines += [f"  no answer of {_reason(one)}" for one in plan.get("unanswered") or ()]
    return "\n".join(lines)


def _leg(leg: Values) -> Iterator[str]:
    ranking = leg.get("ranking") or leg
    quotes = ranking.get("quotes") or ()
    stages = [one["name"] if isinstance(one, Mapping) else str(one) for one in leg["stages"]]
    yield f"{' and '.join(stages)}: {many(len(quotes), 'quote')}, the first was chosen"
    rows = [_quote(number, quote) for number, quote in enumerate(quotes[:SHOWN], start=1)]
    if rows:
        shown = table(rows, head=("", "provider", "type", "place", "cost", "availability"))
        yield from (f"  {line}" for line in shown.splitlines())
    reasons = Counter(one.get("reason", "") for one in ranking.get("passed_over") or ())
    for reason, count in reasons.most_common(SHOWN):
        yield f"  passed over {many(count, 'offer')}: {reason}"
    if len(reasons) > SHOWN:
        yield f"  and others, for {many(len(reasons) - SHOWN, 'more reason')}; --json has all"


def _quote(number: int, quote: Values) -> tuple[str, ...]:
    offer = quote.get("offer") or quote
    amount = quote.get("shown") or quote.get("cost")
    return (
        str(number),
        offer.get("provider", ""),
        offer.get("instance_type", ""),
        offer.get("zone") or offer.get("region", ""),
        _money(amount) if amount else "",
        offer.get("availability", ""),
    )


def _alternatives(alternatives: Sequence[Values]) -> Iterator[str]:
    for one in alternatives:
        machines = f" on {', '.join(one['machines'])}" if one.get("machines") else ""
        total = f": {_money(one['total'])}" if one.get("total") else f": {one.get('reason', '')}"
        yield f"{one.get('sharing', '')}{machines}{total}"


def _reason(one: Values | str) -> str:
    """A line of a provider that gave no offers; it begins with the provider's name."""
    return one if isinstance(one, str) else str(one.get("reason", one.get("provider", "")))


def _money(value: Values) -> str:
    money: Money = from_plain(Money, value)
    return money_text(money)
