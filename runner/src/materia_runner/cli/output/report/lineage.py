"""Lineage of the models as an SVG: who reads whom, from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from materia_runner.cli.output.report.markup import Html, identity, tag

BOX = 240
GAP = 56
ROW = 30
BOX_HEIGHT = 22
LONGEST = 31  # characters of a name in its box


def lineage_drawing(reads: Mapping[str, Sequence[str]], shown: frozenset[str]) -> Html:
    """The tables in layers, each to the right of all that it reads.

    Args:
        reads: What each model reads; a table that is no model may occur as one that is read.
        shown: Tables with a place on the page, which a box leads to.
    """
    layers = in_layers(reads)
    places = {
        name: (column * (BOX + GAP), 4 + row * ROW)
        for column, names in enumerate(layers)
        for row, name in enumerate(names)
    }
    edges = [
        _edge(places[read], places[name], read, name)
        for name, its_reads in reads.items()
        for read in its_reads
        if read != name
    ]
    boxes = [_box(name, place, linked=name in shown) for name, place in places.items()]
    width = len(layers) * (BOX + GAP) - GAP + 2
    height = max(map(len, layers), default=0) * ROW + 4
    return tag(
        "svg",
        tag("g", *edges),
        tag("g", *boxes),
        class_="lineage",
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
    )


def in_layers(reads: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The names in layers: each in the layer after the last one that it reads.

    Inside a layer, a name stands near those that it reads. A cycle, which SQLMesh refuses, is cut.
    """
    names = sorted({*reads, *(one for its in reads.values() for one in its)})
    depths: dict[str, int] = {}

    def depth(name: str, above: frozenset[str]) -> int:
        if name not in depths:
            inside = above | {name}
            below = [depth(one, inside) for one in reads.get(name, ()) if one not in inside]
            depths[name] = max(below, default=-1) + 1
        return depths[name]

    for name in names:
        depth(name, frozenset())
    layers: list[list[str]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    places: dict[str, float] = {}
    for layer in range(len(layers)):
        mine = [name for name in names if depths[name] == layer]
        mine.sort(
            key=lambda name: (
                mean([places[one] for one in reads.get(name, ()) if one in places] or [0.0]),
                name,
            )
        )
        layers[layer] = mine
        places.update({name: place / max(len(mine), 1) for place, name in enumerate(mine)})
    return layers


def _box(name: str, place: tuple[int, int], *, linked: bool) -> Html:
    schema, _, bare = name.rpartition(".")
    short = bare if len(bare) <= LONGEST else f"{bare[: LONGEST - 1]}…"
    x, y = place
    drawn = [
        tag("title", name),
        tag("rect", x=x + 1, y=y, width=BOX, height=BOX_HEIGHT, rx=4),
        tag("text", short, x=x + 9, y=y + 15),
    ]
    kind = f"box {identity('layer', schema)}"
    if not linked:
        return tag("g", *drawn, class_=kind, data_name=name)
    return tag("a", *drawn, class_=kind, href=f"#{identity('table', name)}", data_name=name)


def _edge(begin: tuple[int, int], end: tuple[int, int], reads: str, name: str) -> Html:
    x, y = begin[0] + BOX + 1, begin[1] + BOX_HEIGHT // 2
    to_x, to_y = end[0] + 1, end[1] + BOX_HEIGHT // 2
    half = (to_x - x) / 2
    return tag(
        "path",
        d=f"M{x},{y} C{x + half:g},{y} {to_x - half:g},{to_y} {to_x},{to_y}",
        class_="edge",
        data_from=reads,
        data_to=name,
    )
