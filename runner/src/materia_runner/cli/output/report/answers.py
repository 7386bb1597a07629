"""What is new in the data: answers of report queries as tables, lists of numbers as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import isfinite

from materia_runner.cli.output.report.charts import line
from materia_runner.cli.output.report.markup import NOTHING, Cell, Head, Html, section, table, tag
from materia_runner.tables.report_queries import MOST_ROWS, Answer

NUMBERS = (int, float, Decimal)


def answers_section(answers: Sequence[Answer]) -> Html:
    """The answers one after another; nothing without a query."""
    if not answers:
        return NOTHING
    return section(
        "new", "What is new in the data", *(part for one in answers for part in _answer(one))
    )


def _answer(answer: Answer) -> Iterator[Html]:
    yield tag("h3", answer.query.title)
    if answer.query.explanation:
        yield tag("p", answer.query.explanation)
    if answer.problem is not None:
        yield tag("p", f"{answer.query.file}: {answer.problem}", class_="note bad")
        return
    if not answer.rows:
        yield tag("p", "The query found no row.", class_="note")
        return
    kinds = [_kind(answer, place) for place in range(len(answer.columns))]
    heads = [
        Head(name=name.replace("_", " "), number=kind == "number", sorts=kind != "line")
        for name, kind in zip(answer.columns, kinds, strict=True)
    ]
    rows = [
        [_cell(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in answer.rows
    ]
    yield table(answer.query.title, heads, rows, filter_words=f"Filter: {answer.query.title}")
    if answer.is_cut:
        yield tag("p", f"The first {MOST_ROWS} rows are shown.", class_="note")


def _kind(answer: Answer, place: int) -> str:
    """`number` and `line` when all values of the column are that; otherwise `text`."""
    values = [row[place] for row in answer.rows if row[place] is not None]
    if values and all(_is_number(value) for value in values):
        return "number"
    if values and all(
        isinstance(value, list) and all(one is None or _is_number(one) for one in value)
        for value in values
    ):
        return "line"
    return "text"


def _is_number(value: object) -> bool:
    return isinstance(value, NUMBERS) and not isinstance(value, bool)


def _cell(value: object, kind: str) -> Cell:
    if value is None:
        return Cell(shown="", sort="", number=kind == "number")
    if kind == "line" and isinstance(value, list):
        return Cell(shown=_line(value))
    if kind == "number":
        return Cell(shown=number_text(value), sort=str(value), number=True)
    if isinstance(value, datetime | date):
        return Cell(shown=tag("span", str(value), class_="day"), sort=value.isoformat())
    return Cell(shown=str(value))


def _line(values: Sequence[object]) -> Html:
    points = [float(str(one)) if one is not None else None for one in values]
    finite = [one if one is not None and isfinite(one) else None for one in points]
    known = [one for one in values if one is not None]
    ends = f", from {number_text(known[0])} to {number_text(known[-1])}" if known else ""
    return line(finite, f"{len(values)} values{ends}")


def number_text(value: object) -> str:
    """A number with commas between thousands; a whole number of up to four digits as it is."""
    match value:
        case int() if abs(value) < 10_000:
            return str(value)
        case Decimal() if value.is_finite():
            shown = f"{value:,f}"
            return shown.rstrip("0").rstrip(".") if "." in shown else shown
        case int() | Decimal():
            return f"{value:,}"
        case float():
            return f"{value:,.6g}"
        case _:
            return str(value)
