"""A page as a tree: what a test asks of HTML, by the standard library's parser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"input", "link", "meta"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def all(self, name: str = "") -> Iterator[Element]:
        """Every element of that name below this one; without a name, every element."""
        for child in self.children:
            if isinstance(child, Element):
                if name in {"", child.name}:
                    yield child
                yield from child.all(name)

    @property
    def text(self) -> str:
        return "".join(one if isinstance(one, str) else one.text for one in self.children)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs), f"an attribute of {tag} is there twice"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> ends {self.open[-1].name}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(text: str) -> Element:
    """The tree; fails when an element does not end where it must."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert len(builder.open) == 1, f"{builder.open[-1].name} has no end"
    return builder.open[0]


def table_of(page: Element, caption: str) -> list[list[str]]:
    """The cells of the table with that caption, without its head."""
    [table] = [one for one in page.all("table") if next(one.all("caption")).text == caption]
    [body] = table.all("tbody")
    return [
        [cell.text for cell in row.all() if cell.name in {"td", "th"}] for row in body.all("tr")
    ]
