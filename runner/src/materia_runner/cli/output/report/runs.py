"""The runs on the page: a table of all, and the newest in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from materia_runner.cli.output.report.charts import Column, columns
from materia_runner.cli.output.report.markup import (
    NOTHING,
    Cell,
    Child,
    Head,
    Html,
    identity,
    link,
    section,
    state,
    table,
    tag,
)
from materia_runner.cli.output.report.run import run_part
from materia_runner.cli.output.runs.table import amounts, cost_word, ended_word, shortened, what
from materia_runner.cli.output.text import many
from materia_runner.figures import elapsed_text

Values = Mapping[str, Any]
IN_FULL_BYTES = 600_000  # of runs in full: the page stays small however many there are
CHARTED = 60
REASON = 240  # characters: an address and what its server said


def runs_section(
    runs: Sequence[Values], details: Iterator[Values], *, left_out: int, others: int = 0
) -> Html:
    """A chart and a table of the runs, and as many of the newest in full as fit.

    Args:
        runs: In the form of `run_values`, newest first.
        details: The same runs in the form of `show_values`; read only as far as they are shown.
        left_out: Number of older runs that are not among *runs*.
        others: Number of runs in the ledger that are not of this pipeline.
    """
    elsewhere = _elsewhere(others)
    if not runs:
        words = "There are no runs yet."
        return section("runs", "Runs", tag("p", words, class_="note"), elsewhere)
    parts: list[Html] = []
    room = IN_FULL_BYTES
    for one in details:
        part = run_part(one)
        room -= len(part.text.encode())
        if room < 0 and parts:
            break
        parts.append(part)
    notes: list[Html] = []
    if len(parts) < len(runs):
        words = f"The newest {len(parts):,} runs are shown in full; the others are in "
        notes.append(tag("p", words, tag("code", "materia runs show"), ".", class_="note"))
    if left_out:
        notes.append(tag("p", f"{left_out:,} older runs are left out.", class_="note"))
    return section(
        "runs",
        "Runs",
        _chart(runs[:CHARTED]),
        _table(runs, in_full=len(parts)),
        elsewhere,
        tag("div", tag("h3", "In full"), *notes, *parts, class_="folds"),
    )


def _elsewhere(others: int) -> Html:
    if not others:
        return NOTHING
    words = f"{many(others, 'run')} of other folders or pipelines are in the ledger: "
    return tag("p", words, tag("code", "materia runs"), ".", class_="note")


def _chart(runs: Sequence[Values]) -> Html:
    points = [
        Column(
            values=((_kind(one), one["seconds"] or 0.0),),
            title=f"{_moment(one['started_at'])}: {ended_word(dict(one))}, {_took(one)}",
        )
        for one in reversed(runs)
    ]
    first, last = runs[-1]["started_at"][:10], runs[0]["started_at"][:10]
    longest = max(one["seconds"] or 0.0 for one in runs)
    label = (
        f"How long the newest {len(runs)} runs took, from {first} to {last}; the longest took "
        f"{elapsed_text(longest)}"
    )
    if len(runs) < 2:
        return NOTHING
    return tag(
        "figure",
        tag("figcaption", label),
        tag(
            "p",
            tag("span", "ok", class_="key good"),
            " ",
            tag("span", "failed, interrupted or over budget", class_="key bad"),
        ),
        columns(points, label),
        tag("p", tag("span", first), tag("span", last), class_="axis", aria_hidden="true"),
    )


def _kind(one: Values) -> str:
    return {"ok": "good", "running": "plain"}.get(ended_word(dict(one)), "bad")


def _took(one: Values) -> str:
    return "" if one["seconds"] is None else elapsed_text(one["seconds"])


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")


def _table(runs: Sequence[Values], *, in_full: int) -> Html:
    heads = [
        Head(name="started (UTC)"),
        Head(name="ended"),
        Head(name="took", number=True),
        Head(name="what"),
        Head(name="computer"),
        Head(name="where"),
        Head(name="estimate", number=True),
        Head(name="cost", number=True),
        Head(name="reason", sorts=False),
    ]
    rows = [_row(one, linked=place < in_full) for place, one in enumerate(runs)]
    caption = "Runs of this pipeline in the ledger, newest first"
    return table(caption, heads, rows, filter_words="Filter runs")


def _row(one: Values, *, linked: bool) -> list[Cell | Child]:
    values = dict(one)
    started = _moment(one["started_at"])
    where = [
        f"{machine['provider']} {machine['instance_type']}"
        for machine in one["instances"]
        if machine["state"] != "refused"
    ]
    return [
        Cell(
            shown=link(started, identity("run", one["run"])) if linked else started,
            sort=one["started_at"],
        ),
        state(ended_word(values)),
        Cell(shown=_took(one), sort=-1 if one["seconds"] is None else one["seconds"], number=True),
        tag("span", what(values), class_="day"),
        tag("span", one["host"], title=one["directory"]),
        ", ".join(dict.fromkeys(where or one["providers"])),
        _money(one["estimate"], amounts(one["estimate"])),
        _money(one["cost"], cost_word(values)),
        shortened(one["error"] or "", to=REASON),
    ]


def _money(values: Sequence[Mapping[str, str]], shown: str) -> Cell:
    return Cell(shown=shown, sort=values[0]["amount"] if values else "-1", number=True)
