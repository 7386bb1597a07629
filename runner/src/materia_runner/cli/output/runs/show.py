"""One run in full for `materia runs show`: as JSON values and as a page of text."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia.compute import Money
from materia.text import together

from materia_runner.cli.output.runs.plan import plan_text
from materia_runner.cli.output.runs.table import amounts, cost_word, ended_word, run_values, what
from materia_runner.cli.output.text import many, size, table
from materia_runner.codec import decode, plain
from materia_runner.figures import elapsed_text, money_text, quantity_text, unit_price_text
from materia_runner.ledger.bills import cost_so_far
from materia_runner.ledger.rows import MachineRow, Note, RunRow, StageRow
from materia_runner.messages.partition_problems import Problem
from materia_runner.planning.plan_json import with_placements

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.state import State

LAST_LINES = 20
WIDTH = 200  # of a line of a log
# Counts in the result of a stage, and what the page calls them.
COUNTS = {
    "asked": "requested",
    **{name: name for name in ("fetched", "unchanged", "absent", "denied", "refused", "failed")},
}
Values = dict[str, Any]


def show_values(row: RunRow, state: State, ledger: Ledger, now: datetime) -> Values:
    """All that the ledger has of a run, with exact amounts as text."""
    machines = ledger.machines(run=row.run)
    stages = ledger.stages(row.run)
    notes = ledger.notes(row.run)
    plan = ledger.plan(row.run)
    head = run_values(row, machines, state, now)
    return {
        **head,
        "instances": [_machine_values(one, now) for one in machines],
        "plan": plan and with_placements(plan),
        "stages": [_stage_values(one, state, alive=head["alive"]) for one in stages],
        "notes": [{"at": plain(one.at), "stage": one.stage, "text": one.text} for one in notes],
        "timeline": [
            {"at": plain(at), "text": text} for at, text in timeline(row, machines, stages, notes)
        ],
        "log_folder": str(state.log_file(row.run, "", 0).parent),
    }


def _machine_values(row: MachineRow, now: datetime) -> Values:
    return {
        **plain(row),
        "open": row.is_open,
        "rented": row.rented,
        "seconds": row.lasted(now).total_seconds(),
        "cost": plain(cost_so_far(row, now)),
    }


def _stage_values(row: StageRow, state: State, *, alive: bool) -> Values:
    log = state.log_file(row.run, row.stage, row.attempt)
    ended = row.ended_at
    values: Values = plain(row)
    instance = values.pop("machine")
    return {
        **values,
        "instance": instance,
        "expected": None if row.expected is None else row.expected.total_seconds(),
        "seconds": None if ended is None else (ended - row.started_at).total_seconds(),
        "log": str(log) if log.is_file() else None,
        "last_lines": [] if row.state == "ok" or alive else last_lines(log),
    }


def last_lines(log: Path) -> list[str]:
    """The last lines of a log; none when the file is missing."""
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            return [line.rstrip()[:WIDTH] for line in deque(lines, LAST_LINES)]
    except OSError:
        return []


def timeline(
    run: RunRow,
    machines: Sequence[MachineRow],
    stages: Sequence[StageRow],
    notes: Sequence[Note],
) -> list[tuple[datetime, str]]:
    """Events of a run with their times, oldest first."""
    moments = [(run.started_at, "the run begins")]
    moments += [
        (note.at, f"{note.stage}: {note.text}" if note.stage else note.text) for note in notes
    ]
    for stage in stages:
        name = f"stage {stage.stage}{_attempt(stage.attempt)}"
        moments.append((stage.started_at, f"{name} starts on the machine {stage.machine}"))
        if stage.ended_at:
            moments.append((stage.ended_at, f"{name} ends: {stage.state}"))
    for machine in machines:
        moments += _machine_moments(machine)
    if run.ended_at:
        moments.append((run.ended_at, f"the run ends: {run.state}"))
    return sorted(moments, key=lambda moment: moment[0])


def _machine_moments(machine: MachineRow) -> Iterator[tuple[datetime, str]]:
    name = f"machine {machine.name}"
    place = machine.zone or machine.region
    yield (
        machine.intended_at,
        f"{name}: requested {machine.instance_type} in {place} from {machine.provider}",
    )
    if machine.created_at:  # by the provider's clock, in whole seconds
        at = max(machine.created_at, machine.intended_at)
        yield at, f"{name}: created{f', id {machine.id}' if machine.id else ''}"
    if machine.ready_at:
        yield machine.ready_at, f"{name}: answers{f' at {machine.host}' if machine.host else ''}"
    if machine.destroying_at:
        yield machine.destroying_at, f"{name}: destroy requested"
    if machine.gone_at:
        bill = f", cost {money_text(machine.cost)}" if machine.cost else ""
        yield machine.gone_at, f"{name}: gone, the provider no longer lists it{bill}"


def _attempt(number: int) -> str:
    return f", attempt {number}" if number > 1 else ""


def show_text(values: Values) -> str:
    """Render a run as a page of text."""
    parts = [
        _head(values),
        plan_text(values["plan"]),
        _section("machines", map(_machine, values["instances"])),
        _section("stages", map(_stage, values["stages"])),
        _section("timeline, UTC", [moments(values)]),
        _logs(values),
    ]
    return "\n\n".join(part for part in parts if part)


def _section(title: str, paragraphs: Iterator[list[str]] | Sequence[list[str]]) -> str:
    lines = [f"  {line}" for paragraph in paragraphs for line in paragraph]
    return "\n".join([f"{title}:", *lines]) if lines else ""


def _head(values: Values) -> str:
    seconds = values["seconds"]
    took = "" if seconds is None else f", took {elapsed_text(seconds)}"
    estimate = amounts(values["estimate"])
    version = f"materia {values['version']}" if values["version"] else ""
    lines = {
        "started": f"{_second(values['started_at'])} UTC{took}",
        "what": what(values),
        "folder": values["directory"],
        "providers": ", ".join(values["providers"]),
        "cost": f"{cost_word(values)}, estimated {estimate}" if estimate else "nothing was rented",
        "cap": amounts([values["max_cost"]]) if values["max_cost"] else "",
        "by": ", ".join(filter(None, [version, values["host"], f"process {values['pid']}"])),
        "reason": "\n             ".join((values["error"] or "").splitlines()),
    }
    rows = [f"  {name:<9}  {text}" for name, text in lines.items() if text]
    return "\n".join([f"run {values['run']}: {ended_word(values)}", *rows])


def _second(moment: str) -> str:
    return moment[:19].replace("T", " ")


def moments(values: Values) -> list[str]:
    """The timeline of a run, a line for each event."""
    # A machine's name repeats the run's ID, which is at the top of the page.
    run = f"materia-{values['run']}-".lower()
    day = values["started_at"][:10]
    return [
        f"{_second(one['at']).removeprefix(day).strip()}  {one['text'].replace(run, '')}"
        for one in values["timeline"]
    ]


def _machine(one: Values) -> list[str]:
    place = one["zone"] or one["region"]
    for_stages = f", for {together(one['stages'])}" if one["stages"] else ""
    lines = [
        f"{one['name']}: {one['provider']} {one['instance_type']} in {place}{for_stages}",
        f"  {_life(one)}",
    ]
    if one["state"] == "refused":
        return [*lines, *([f"  {one['reason']}"] if one["reason"] else [])]
    if not one["rented"]:
        return [*lines, "  your own machine, costs nothing"]
    estimate, cost = (money_text(decode(Money, one[name])) for name in ("estimate", "cost"))
    so_far = " so far" if one["open"] else ""
    lines.append(f"  estimated {estimate}, cost {cost}{so_far}")
    return lines + [f"    {bill_line_text(line)}" for line in one["lines"]]


def _life(one: Values) -> str:
    moments = [
        f"{word} {one[name][11:19]}"
        for word, name in (
            ("requested", "intended_at"),
            ("created", "created_at"),
            ("ready", "ready_at"),
            ("gone", "gone_at"),
        )
        if one[name]
    ]
    if one["state"] == "refused":
        return f"{moments[0]}, refused: nothing was created"
    if one["open"]:
        moments.append(f"still exists, its deadline is {_second(one['expires_at'])}")
    return f"{', '.join(moments)}; existed {elapsed_text(one['seconds'])}"


def bill_line_text(line: Mapping[str, Any]) -> str:
    """A line of a machine's bill: quantity, price, amount and rounding rule."""
    amount = money_text(decode(Money, line["amount"]))
    price = f"{unit_price_text(decode(Money, line['price']))} {line['price']['currency']}"
    quantity = quantity_text(Decimal(line["quantity"]))
    return f"{line['name']}: {quantity} {line['unit']} x {price} = {amount}; {line['rule']}"


def _stage(one: Values) -> list[str]:
    took = "" if one["seconds"] is None else f", {elapsed_text(one['seconds'])}"
    expected = "" if one["expected"] is None else f" (expected {elapsed_text(one['expected'])})"
    first = f"{one['stage']}{_attempt(one['attempt'])}: {one['state']}{took}{expected}"
    lines = [f"{first}, on {one['instance']}"]
    result = one["result"] or {}
    if did := result_text(result):
        lines.append(f"  {did}")
    lines += [
        f"  warning: {Problem(**remark).place}: {Problem(**remark)}"
        for remark in result.get("remarks", [])
    ]
    lines += [f"  {line}" for line in (one["error"] or "").splitlines()]
    return lines


def result_text(result: Mapping[str, Any]) -> str:
    """Figures of what a stage did; figures that its result lacks are left out."""
    parts = [
        f"{result[name]:,} {word}" for name, word in COUNTS.items() if _counted(result.get(name))
    ]
    if _counted(result.get("bytes")):
        parts.append(f"{size(result['bytes'])} received")
    if loaded := result.get("loaded"):
        parts.append(f"{many(len(loaded), 'partition')} loaded")
    for name, words in (("rows_added", "rows added"), ("rows_ended", "rows ended")):
        if _counted(result.get(name)):
            parts.append(f"{result[name]:,} {words}")
    if tables := result.get("tables"):
        rows = sum(one.get("rows", 0) for one in tables)
        parts.append(f"{many(len(tables), 'table')} with {many(rows, 'row')} published")
    elif result.get("published") is False:
        parts.append("nothing new; the tables are up to date")
    return ", ".join(parts)


def _counted(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _logs(values: Values) -> str:
    logs = [
        (one["stage"], str(one["attempt"]), one["log"]) for one in values["stages"] if one["log"]
    ]
    if not logs:
        return ""
    parts = [table(logs, head=("stage", "attempt", "log"))]
    for one in values["stages"]:
        if one["last_lines"]:
            title = (
                f"{one['stage']}, attempt {one['attempt']}, {one['state']}; last lines of the log:"
            )
            parts.append("\n".join([title, *(f"  {line}" for line in one["last_lines"])]))
    return "\n\n".join(parts)
