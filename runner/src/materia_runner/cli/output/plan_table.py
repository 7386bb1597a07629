"""Render a plan for `materia plan`: as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from materia._dataclass import dataclass
from materia.compute import Money
from materia.text import duration_text

from materia_runner.cli.output.price_table import marks, needs_text
from materia_runner.cli.output.text import many, table
from materia_runner.codec import plain
from materia_runner.config.pipeline import Budget, Stage
from materia_runner.figures import (
    moment_text,
    money_text,
    quantity_text,
    size_text,
    unit_price_text,
)
from materia_runner.planning.explain import machine_text, reason_lines
from materia_runner.planning.plan import Placement, Plan
from materia_runner.planning.plan_json import LIMIT, plan_values
from materia_runner.pricing.cost import Line, Quote
from materia_runner.pricing.offer_query import NoAnswer

if TYPE_CHECKING:
    from materia_runner.planning.changed_models import ChangedModels

UNCHANGED = "a file of a project or the version of a source changed; SQLMesh rebuilds no model"
HEAD = (
    "",
    "provider",
    "type",
    "place",
    "vCPU",
    "processor",
    "memory",
    "per hour",
    "cost",
    "moving data",
    "availability",
    "priced (UTC)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A plan with its context.

    Attributes:
        plan: The plan.
        unanswered: Providers that sent no offers, with the reason.
        budget: The caps.
        month: Cost of this calendar month in the ledger, or None when the month has no cap.
        left_out: Invalid offers that were left out, a line each.
        models: Models that differ from the published ones, if any do.
    """

    plan: Plan
    unanswered: Sequence[NoAnswer]
    budget: Budget
    month: Money | None = None
    left_out: Sequence[str] = ()
    models: ChangedModels | None = None


def as_json(shown: Shown) -> dict[str, Any]:
    """All of the text output and more, with exact amounts as text."""
    return {
        **plan_values(shown.plan),
        "unanswered": [plain(one) for one in shown.unanswered],
        "left_out": list(shown.left_out),
        "max_cost": plain(shown.budget.max_cost),
        "monthly": plain(shown.budget.monthly),
        "month_so_far": plain(shown.month),
        "models": plain(shown.models),
    }


def as_text(shown: Shown) -> str:
    """Render each machine: its stages, best quotes, the choice and offers passed over."""
    plan = shown.plan
    blocks = [
        _placement(number, placement) for number, placement in enumerate(plan.placements, start=1)
    ]
    if shown.unanswered:
        reasons = "\n".join(f"  {one.reason}" for one in shown.unanswered)
        blocks.append(f"providers without an answer:\n{reasons}")
    if shown.left_out:
        lines = "\n".join(f"  {line}" for line in shown.left_out)
        blocks.append(f"left out:\n{lines}")
    blocks.append("\n".join(_sharing(plan)))
    blocks.append("\n".join(_sums(shown)))
    if shown.models is not None:
        blocks.append("\n".join(changed_lines(shown.models)))
    return "\n\n".join(blocks)


def changed_lines(models: ChangedModels) -> list[str]:
    """What changed models would rebuild, under SQLMesh's own headings."""
    if models.changes is None:
        return [f"models: not compared with the published ones: {models.reason}"]
    found = models.changes
    lists = {
        "Added": found.added,
        "Removed": found.removed,
        "Directly Modified": found.directly_modified,
        "Indirectly Modified": found.indirectly_modified,
        "Metadata Updated": found.metadata_updated,
        "Models needing backfill": [f"{one.model}: [{one.what}]" for one in found.backfill],
    }
    if not any(lists.values()) and not found.notices:
        return [f"models: {UNCHANGED}"]
    lines = ["models differ from the published ones; SQLMesh plans for the next run:"]
    lines += [f"  {notice}" for notice in found.notices]
    for head, names in lists.items():
        lines += [f"  {head}:", *(f"    {name}" for name in names)] if names else []
    return lines


def _placement(number: int, placement: Placement) -> str:
    needs = needs_text(placement.requirements)
    blocks = [
        f"machine {number} for {placement.name}: {needs}; net of VAT",
        _stages(placement),
        _table(placement),
    ]
    blocks += marks(placement.ranking.quotes[:LIMIT])
    blocks += [_chosen(placement), *_passed_over(placement)]
    return "\n".join(blocks)


def _stages(placement: Placement) -> str:
    texts = [_stage(stage) for stage in placement.stages]
    saved = "; one boot less" if len(placement.stages) > 1 else ""
    return f"  expected: {', '.join(texts)}{saved}"


def _stage(stage: Stage) -> str:
    length = duration_text(stage.requirements.expected)
    if stage.minutes_configured:
        return f"{stage.label} {length} (materia.toml)"
    return f"{stage.label} {length} ({'earlier runs' if stage.minutes_learnt else 'default'})"


def _table(placement: Placement) -> str:
    rows: list[tuple[str, ...]] = []
    seen = 0
    groups: dict[tuple[object, ...], list[Quote]] = {}
    for quote in placement.ranking.quotes:
        groups.setdefault(_alike(quote), []).append(quote)
    for same in groups.values():
        mark = "->" if not rows else ""
        rows.append(_row(placement, same[0], mark=mark, more=len(same) - 1))
        seen += len(same)
        if len(rows) == LIMIT:
            break
    text = table(rows, head=HEAD)
    left = len(placement.ranking.quotes) - seen
    return text if not left else f"{text}\n... and {many(left, 'more offer')} that would fit"


def _alike(quote: Quote) -> tuple[object, ...]:
    """Key of a row: a type with the same cost in several places is one row."""
    offer = quote.offer
    return (offer.provider, offer.instance_type, quote.shown, offer.availability, offer.vcpus)


def _row(placement: Placement, quote: Quote, *, mark: str, more: int) -> tuple[str, ...]:
    offer = quote.offer
    added = placement.added(offer)
    retires = f", until {offer.retires_on}" if offer.retires_on else ""
    return (
        mark,
        offer.provider,
        offer.instance_type,
        (offer.zone or offer.region) + (f" (+{more})" if more else ""),
        str(offer.vcpus),
        offer.cpu,
        f"{size_text(offer.memory_gib)} GiB {offer.architecture}",
        money_text(offer.hourly),
        money_text(quote.shown) + ("*" if quote.rates else ""),
        f"+ {money_text(Money(added, quote.shown.currency))}" if added else "",
        offer.availability + retires,
        moment_text(offer.price_as_of),
    )


def _chosen(placement: Placement) -> str:
    quote = placement.chosen
    count = len(placement.ranking.quotes)
    why = f"the cheapest of {count} that fit" if count > 1 else "the only one that fits"
    lines = [f"chosen: {machine_text(quote.offer)}, {why}"]
    lines += [f"  {line.name}: {_sum(line)} ({line.rule})" for line in quote.lines]
    return "\n".join(lines)


def _sum(line: Line) -> str:
    """Rounded figures of a line; the JSON has the exact ones."""
    quantity = quantity_text(line.quantity)
    return f"{quantity} {line.unit} x {unit_price_text(line.price)} = {money_text(line.amount)}"


def _passed_over(placement: Placement) -> list[str]:
    lines = reason_lines(placement.ranking.passed_over)
    return ["passed over:", *(f"  {line}" for line in lines)] if lines else []


def _sharing(plan: Plan) -> list[str]:
    lines = [f"{plan.why}."]
    for other in plan.alternatives[1:]:
        total = money_text(other.total) if other.total else other.reason
        lines.append(f"  not chosen: {other.sharing}: {total}")
    return lines


def _sums(shown: Shown) -> list[str]:
    plan = shown.plan
    lines = [
        f"expected total   {money_text(plan.total)}",
        f"worst case       {money_text(plan.worst)}",
    ]
    lines += [f"  {line}" for line in plan.worst_case]
    budget = shown.budget
    cap = money_text(budget.max_cost) if budget.max_cost else "none (--max-cost, or [budget] run)"
    lines.append(f"cap per run      {cap}")
    if budget.monthly:
        month = shown.month or Money(Decimal(0), budget.monthly.currency)
        lines.append(
            f"cap per month    {money_text(budget.monthly)}, {money_text(month)} of it used"
        )
    return lines
