"""SVG charts: bars in a table, columns, a line, and the parts of a timeline.

They have no text of their own and stretch to the width of their place; the table or the figure
around a chart has its values as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from materia_runner.cli.output.report.markup import Html, tag
from materia_runner.figures import size_text

WIDTH = 100.0
HEIGHT = 20.0
LEAST = 0.6  # width of the smallest part, so that it is seen
COLUMNS_HEIGHT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a bar: from where to where, of what kind, and its title on hover."""

    begin: float
    end: float
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A place on the axis: its values with their kinds, and its title on hover."""

    values: tuple[tuple[str, float], ...]
    title: str


def bar(parts: Sequence[Part], whole: float) -> Html:
    """A bar with parts, of which *whole* fills the width."""
    drawn = [
        tag(
            "rect",
            tag("title", part.title),
            x=_short(_at(part.begin, whole)),
            y=3,
            width=_short(max(_at(part.end, whole) - _at(part.begin, whole), LEAST)),
            height=HEIGHT - 6,
            class_=f"mark {part.kind}",
        )
        for part in parts
    ]
    return _drawing(drawn, "bar", WIDTH, HEIGHT)


def columns(points: Sequence[Column], label: str) -> Html:
    """Columns side by side, each group over its place; the highest has the whole height."""
    most = max((value for point in points for _, value in point.values), default=0.0)
    step = WIDTH / max(len(points), 1)
    drawn: list[Html] = []
    for place, point in enumerate(points):
        width = 0.8 * step / max(len(point.values), 1)
        parts = []
        for number, (kind, value) in enumerate(point.values):
            height = max(_at(value, most) * COLUMNS_HEIGHT / WIDTH, 1 if value else 0)
            parts.append(
                tag(
                    "rect",
                    x=_short(place * step + 0.1 * step + number * width),
                    y=_short(COLUMNS_HEIGHT - height),
                    width=_short(width),
                    height=_short(height),
                    class_=f"mark {kind}",
                )
            )
        drawn.append(tag("g", tag("title", point.title), *parts))
    return _drawing(drawn, "columns", WIDTH, COLUMNS_HEIGHT, label)


def line(values: Sequence[float | None], label: str) -> Html:
    """A line through the values from left to right; a missing value is a gap."""
    known = [value for value in values if value is not None]
    if not known:
        return Html("")
    low, high = min(known), max(known)
    step = WIDTH / max(len(values) - 1, 1)
    places = [
        None
        if value is None
        else (place * step, HEIGHT - 2 - _at(value - low, high - low) * (HEIGHT - 4) / WIDTH)
        for place, value in enumerate(values)
    ]
    if len(places) == 1:  # a value that never changed
        places = [*places, None if places[0] is None else (WIDTH, places[0][1])]
    drawn = [
        tag(
            "line",
            x1=_short(one[0]),
            y1=_short(one[1]),
            x2=_short(other[0]),
            y2=_short(other[1]),
            class_="stroke",
        )
        for one, other in pairwise(places)
        if one is not None and other is not None
    ]
    return _drawing(drawn, "spark", WIDTH, HEIGHT, label)


def _drawing(
    children: Sequence[Html], kind: str, width: float, height: float, label: str | None = None
) -> Html:
    return tag(
        "svg",
        *children,
        class_=kind,
        viewBox=f"0 0 {width:g} {height:g}",
        preserveAspectRatio="none",
        role="img" if label else None,
        aria_label=label,
        aria_hidden=None if label else "true",
    )


def _at(value: float, whole: float) -> float:
    """The place of a value on an axis that is WIDTH long; 0 on an axis without length."""
    return min(max(WIDTH * value / whole, 0.0), WIDTH) if whole > 0 else 0.0


def _short(number: float) -> str:
    return size_text(Decimal(str(number)))
