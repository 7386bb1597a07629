"""One run in full: head, plan with the offers, machines with their bills, timeline, log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from materia.compute import Money

from materia_runner.cli.output.report.charts import Part, bar
from materia_runner.cli.output.report.markup import (
    NOTHING,
    Cell,
    Child,
    Head,
    Html,
    facts,
    folded,
    identity,
    join,
    state,
    table,
    tag,
)
from materia_runner.cli.output.runs.show import bill_line_text, result_text
from materia_runner.cli.output.runs.table import amounts, cost_word, ended_word, what
from materia_runner.codec import decode
from materia_runner.figures import elapsed_text, money_text

Values = Mapping[str, Any]
MOST_MOMENTS = 60
MOST_REASONS = 8


def run_part(values: Values) -> Html:
    """A run in the form of `show_values`, folded."""
    one = dict(values)
    started = values["started_at"][:19].replace("T", " ")
    took = "" if values["seconds"] is None else f", took {elapsed_text(values['seconds'])}"
    estimate = amounts(values["estimate"])
    head = facts(
        [
            ("Run", tag("code", values["run"])),
            ("Started", f"{started} UTC{took}"),
            ("Folder", values["directory"]),
            ("Providers", ", ".join(values["providers"])),
            ("Cost", f"{cost_word(one)}, estimated {estimate}" if estimate else ""),
            ("Cap", amounts([values["max_cost"]]) if values["max_cost"] else ""),
            ("Reason", tag("pre", values["error"]) if values["error"] else ""),
        ]
    )
    return folded(
        join([f"{started} ", state(ended_word(one)), f" {what(one)}"]),
        head,
        *_plan(values["plan"] or {}),
        *_bars(values),
        *_machines(values["instances"]),
        *_stages(values["stages"]),
        *_moments(values),
        name=identity("run", values["run"]),
    )


def _plan(plan: Values) -> Iterator[Html]:
    if not plan:
        return
    yield tag("h4", "Plan")
    if plan.get("why"):
        yield tag("p", plan["why"])
    for other in (plan.get("alternatives") or ())[1:]:
        total = _money(other["total"]) if other.get("total") else other.get("reason", "")
        yield tag("p", f"Not chosen: {other.get('sharing', '')}: {total}")
    for placement in plan.get("placements") or ():
        yield from _placement(placement)


def _placement(placement: Values) -> Iterator[Html]:
    stages = " and ".join(stage["name"] for stage in placement.get("stages") or ())
    quotes = placement.get("quotes") or ()
    if not quotes:
        yield tag("p", f"No offer was kept for {stages}.", class_="note")
        return
    heads = [
        Head(name="provider", sorts=False),
        Head(name="type", sorts=False),
        Head(name="place", sorts=False),
        Head(name="cost", number=True, sorts=False),
        Head(name="availability", sorts=False),
        Head(name="choice", sorts=False),
    ]
    chosen = _chosen(placement)
    rows = [_quote(quote, chosen=place == chosen) for place, quote in enumerate(quotes)]
    yield table(f"Offers considered for {stages}, cheapest first", heads, rows)
    if more := placement.get("more_quotes", 0):
        yield tag("p", f"{more:,} more offers that fit cost more.", class_="note")
    passed = sorted(placement.get("passed_over") or (), key=lambda one: -one["count"])
    if passed:
        listed = [
            tag("li", f"{one['count']} of {one['provider']}: {one['reason']}")
            for one in passed[:MOST_REASONS]
        ]
        yield tag("p", "Passed over:")
        yield tag("ul", *listed)


def _chosen(placement: Values) -> int:
    """The place of the chosen offer among the quotes; a plan of an older version has the first."""
    key = placement.get("chosen") or {}
    for place, quote in enumerate(placement["quotes"]):
        offer = quote.get("offer") or {}
        if all(offer.get(name) == value for name, value in key.items()):
            return place
    return 0


def _quote(quote: Values, *, chosen: bool) -> list[Cell | Child]:
    offer = quote.get("offer") or {}
    amount = quote.get("cost")
    return [
        offer.get("provider", ""),
        offer.get("instance_type", ""),
        offer.get("zone") or offer.get("region", ""),
        Cell(shown=_money(amount) if amount else "", number=True),
        offer.get("availability", ""),
        tag("strong", "chosen") if chosen else NOTHING,
    ]


def _bars(values: Values) -> Iterator[Html]:
    """The machines and the stages on one axis of time, as bars in a table."""
    begin = _time(values["started_at"])
    ended = values["ended_at"]
    lines = [*_machine_lines(values["instances"], begin), *_stage_lines(values["stages"], begin)]
    ends = [part.end for _, parts in lines for part in parts]
    whole = max([(_time(ended) - begin).total_seconds() if ended else 0.0, *ends])
    if not lines or whole <= 0:
        return
    rows: list[list[Cell | Child]] = [
        [
            name,
            Cell(shown=elapsed_text(parts[0].begin) if parts else "", number=True),
            Cell(shown=elapsed_text(parts[-1].end - parts[0].begin) if parts else "", number=True),
            bar(parts, whole),
        ]
        for name, parts in lines
    ]
    heads = [
        Head(name="what", sorts=False),
        Head(name="after", number=True, sorts=False),
        Head(name="took", number=True, sorts=False),
        Head(name=f"from 0 to {elapsed_text(whole)}", sorts=False),
    ]
    yield table("Timeline of machines and stages", heads, rows)


def _machine_lines(machines: Sequence[Values], begin: datetime) -> Iterator[tuple[str, list[Part]]]:
    for one in machines:
        if one["state"] == "refused" or not one["rented"]:
            continue
        moments = [
            ((_time(one[name]) - begin).total_seconds(), kind, word)
            for name, kind, word in (
                ("intended_at", "waiting", "boot"),
                ("ready_at", "busy", "ready"),
                ("destroying_at", "waiting", "teardown"),
                ("gone_at", "", ""),
            )
            if one[name]
        ]
        last = moments[0][0] + one["seconds"]
        ends = [at for at, _, _ in moments[1:]] + [max(last, moments[-1][0])]
        parts = [
            Part(begin=at, end=end, kind=kind, title=f"{word}, {elapsed_text(end - at)}")
            for (at, kind, word), end in zip(moments, ends, strict=True)
            if kind
        ]
        yield f"{one['provider']} {one['instance_type']}", parts


def _stage_lines(stages: Sequence[Values], begin: datetime) -> Iterator[tuple[str, list[Part]]]:
    for one in stages:
        if one["seconds"] is None:
            continue
        at = (_time(one["started_at"]) - begin).total_seconds()
        kind = "good" if one["state"] == "ok" else "bad"
        title = f"{one['state']}, {elapsed_text(one['seconds'])}"
        part = Part(begin=at, end=at + one["seconds"], kind=kind, title=title)
        yield f"stage {one['stage']}{_attempt(one)}", [part]


def _machines(machines: Sequence[Values]) -> Iterator[Html]:
    for one in machines:
        place = one["zone"] or one["region"]
        name = f"{one['provider']} {one['instance_type']} in {place}"
        if one["state"] == "refused":
            yield tag("p", f"{name}: refused, nothing was created. {one['reason'] or ''}")
            continue
        if not one["rented"]:
            continue
        estimate, cost = (_money(one[key]) for key in ("estimate", "cost"))
        so_far = " so far" if one["open"] else ""
        yield tag("p", f"{name}: estimated {estimate}, cost {cost}{so_far}")
        if one["lines"]:
            yield tag("ul", *(tag("li", bill_line_text(line)) for line in one["lines"]))


def _stages(stages: Sequence[Values]) -> Iterator[Html]:
    for one in stages:
        expected = one["expected"]
        words = "" if expected is None else f" (expected {elapsed_text(expected)})"
        did = result_text(one["result"] or {})
        yield tag(
            "p",
            f"Stage {one['stage']}{_attempt(one)}: ",
            state(one["state"]),
            words,
            f"; {did}" if did else "",
        )
        if one["error"]:
            yield tag("pre", one["error"])
        if one["last_lines"]:
            yield folded("Last lines of the log", tag("pre", "\n".join(one["last_lines"])))


def _moments(values: Values) -> Iterator[Html]:
    moments = values["timeline"]
    run = f"materia-{values['run']}-".lower()
    listed = [
        tag("li", tag("time", one["at"][11:19]), f" {one['text'].replace(run, '')}")
        for one in moments[:MOST_MOMENTS]
    ]
    if len(moments) > MOST_MOMENTS:
        listed.append(tag("li", f"and {len(moments) - MOST_MOMENTS:,} more"))
    yield folded("Events, with their time in UTC", tag("ul", *listed, class_="moments"))


def _attempt(one: Values) -> str:
    return f", attempt {one['attempt']}" if one["attempt"] > 1 else ""


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _money(value: Values) -> str:
    money: Money = decode(Money, value)
    return money_text(money)
