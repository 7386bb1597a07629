"""HTML escaping: build elements whose text is always escaped, and tables that sort and filter.

All text passes through `printable` and is escaped, unless it is `Html` already; so a name from
outside cannot add an element or an attribute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from materia.printable import printable

# Elements without an end tag, https://html.spec.whatwg.org/#void-elements
VOID = frozenset({"input", "link", "meta"})
LONGEST = 2000  # characters of one text
NUMBER = re.compile(r"-?\d+(\.\d+)?")
NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that is escaped already."""

    text: str

    def __bool__(self) -> bool:
        return bool(self.text)


Child = str | Html
NOTHING = Html("")


def text(value: str) -> Html:
    """*value* escaped, without control characters, at most LONGEST characters long."""
    shown = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    return Html(escape(printable(shown)))


def join(parts: Iterable[Child], between: str = "") -> Html:
    """The parts one after another, with the text *between* escaped."""
    pieces = (part.text if isinstance(part, Html) else text(part).text for part in parts)
    return Html(escape(between).join(pieces))


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """An element; an attribute that is None is left out.

    `class_` is the attribute `class`, and `data_sort` is `data-sort`.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value)).text}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in VOID else f"{join(children).text}</{name}>"
    return Html(f"<{name}{written}>{end}")


def link(shown: Child, target: str) -> Html:
    """A link to the place *target* of this page."""
    return tag("a", shown, href=f"#{target}")


def identity(kind: str, name: str) -> str:
    """An id for a part of the page: the same name gives the same id."""
    plain = NOT_IN_IDS.sub(lambda found: f"-{ord(found.group()):x}-", name)
    return f"{kind}-{plain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table.

    Attributes:
        shown: Its content.
        sort: What the table is sorted by; None means the shown text.
        number: Whether it is aligned as a number.
    """

    shown: Child
    sort: str | float | None = None
    number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A column of a table: its name, and whether the page sorts by it."""

    name: str
    number: bool = False
    sorts: bool = True


def table(
    caption: str,
    heads: Sequence[Head],
    rows: Sequence[Sequence[Cell | Child]],
    *,
    filter_words: str | None = None,
) -> Html:
    """A table in a region that scrolls sideways on a narrow screen; the first cell names the row.

    Args:
        caption: What the table shows.
        heads: Its columns.
        rows: Its rows, each with a cell for every column.
        filter_words: Label of the field that filters the rows; None for a table without.
    """
    head = tag(
        "tr",
        *(
            tag(
                "th",
                one.name,
                scope="col",
                class_="number" if one.number else None,
                data_sorts="" if one.sorts else None,
            )
            for one in heads
        ),
    )
    body = [
        tag("tr", *(_cell(cell, first=not index) for index, cell in enumerate(row))) for row in rows
    ]
    drawn = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", head),
        tag("tbody", *body),
        data_filter=filter_words,
    )
    return tag("div", drawn, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _cell(cell: Cell | Child, *, first: bool) -> Html:
    if not isinstance(cell, Cell):
        cell = Cell(shown=cell)
    attributes = {
        "class_": "number" if cell.number else None,
        "data_sort": None if cell.sort is None else str(cell.sort),
    }
    if first:
        return tag("th", cell.shown, scope="row", **attributes)
    return tag("td", cell.shown, **attributes)


def facts(pairs: Iterable[tuple[str, Child]]) -> Html:
    """A list of names with their values; pairs without a value are left out."""
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value),
    )


def section(name: str, title: str, *children: Child) -> Html:
    """A part of the page that the navigation leads to."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, *children, id=name, aria_labelledby=f"{name}-title")


def folded(summary: Child, *children: Child, name: str | None = None) -> Html:
    """A part that opens on a click, and when a link leads to it."""
    return tag("details", tag("summary", summary), *children, id=name)


def state(word: str) -> Html:
    """How something ended, in the colour of that word; the word itself is always there."""
    kind = {"ok": "good", "running": "plain"}.get(word, "bad")
    return tag("span", word, class_=f"state {kind}")
