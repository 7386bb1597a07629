"""The costs on the page: by month, provider and stage, the estimate beside the cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from materia_runner.cli.output.report.charts import Column, Part, bar, columns
from materia_runner.cli.output.report.markup import Cell, Head, Html, section, table, tag
from materia_runner.cli.output.runs.table import amounts
from materia_runner.cli.output.text import many
from materia_runner.figures import elapsed_text

Values = Mapping[str, Any]
NEWEST = 60  # runs in the chart


def costs_section(costs: Values, runs: Sequence[Values]) -> Html:
    """Sums of the costs, and a chart of the newest runs that rented.

    Args:
        costs: In the form of `cost_values`.
        runs: In the form of `run_values`, newest first.
    """
    if not costs["rows"]:
        return section("costs", "Costs", tag("p", "Nothing was rented yet.", class_="note"))
    open_now = any(one["open"] for one in costs["rows"])
    words = (
        f"Total {amounts(costs['cost'])}, estimated {amounts(costs['estimate'])}, net of VAT."
        + (" Machines that still exist count with their cost so far." if open_now else "")
    )
    return section(
        "costs",
        "Costs",
        tag("p", words),
        *_chart(runs),
        *(_grouped(name, costs[f"by_{name}"]) for name in ("month", "provider", "stage")),
    )


def _chart(runs: Sequence[Values]) -> Iterator[Html]:
    """Estimate and cost of each run side by side; a figure for each currency."""
    currencies = sorted({one["currency"] for run in runs for one in run["cost"]})
    for currency in currencies:
        rented = [run for run in runs if _amount(run["cost"], currency) is not None][:NEWEST]
        points = [
            Column(
                values=(
                    ("estimate", float(_amount(run["estimate"], currency) or 0)),
                    ("cost", float(_amount(run["cost"], currency) or 0)),
                ),
                title=f"{run['started_at'][:16].replace('T', ' ')}: estimated "
                f"{amounts(run['estimate'])}, cost {amounts(run['cost'])}",
            )
            for run in reversed(rented)
        ]
        first, last = rented[-1]["started_at"][:10], rented[0]["started_at"][:10]
        most = max(
            (one for run in rented for name in ("estimate", "cost") for one in run[name]
             if one["currency"] == currency),
            key=lambda one: Decimal(one["amount"]),
        )  # fmt: skip
        label = (
            f"Estimate beside cost of {many(len(rented), 'run')} from {first} to {last}; the "
            f"highest column is {amounts([most])}"
        )
        yield tag(
            "figure",
            tag("figcaption", label),
            tag(
                "p",
                tag("span", "estimate", class_="key estimate"),
                " ",
                tag("span", "cost", class_="key cost"),
            ),
            columns(points, label),
            tag("p", tag("span", first), tag("span", last), class_="axis", aria_hidden="true"),
        )


def _amount(values: Sequence[Mapping[str, str]], currency: str) -> Decimal | None:
    return next((Decimal(one["amount"]) for one in values if one["currency"] == currency), None)


def _grouped(name: str, groups: Sequence[Values]) -> Html:
    heads = [
        Head(name=name),
        Head(name="time", number=True),
        Head(name="estimate", number=True),
        Head(name="cost", number=True),
        Head(name="cost as a bar", sorts=False),
    ]
    most: dict[str, float] = {}
    for one in groups:
        for money in (*one["cost"], *one["estimate"]):
            most[money["currency"]] = max(most.get(money["currency"], 0.0), float(money["amount"]))
    rows = [
        [
            one[name] or "none",
            Cell(shown=elapsed_text(one["seconds"]), sort=one["seconds"], number=True),
            Cell(shown=amounts(one["estimate"]), sort=_first(one["estimate"]), number=True),
            Cell(shown=amounts(one["cost"]), sort=_first(one["cost"]), number=True),
            Html("".join(_bar(money, most).text for money in one["cost"])),
        ]
        for one in groups
    ]
    return table(f"Cost by {name}", heads, rows)


def _first(values: Sequence[Mapping[str, str]]) -> str:
    return values[0]["amount"] if values else ""


def _bar(money: Mapping[str, str], most: Mapping[str, float]) -> Html:
    part = Part(begin=0, end=float(money["amount"]), kind="cost", title=amounts([money]))
    return bar([part], most[money["currency"]])
