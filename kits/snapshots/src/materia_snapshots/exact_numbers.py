"""Keep the decimals of JSON numbers exact: DuckDB reads them as floats, with 17 digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

# A float holds every number of so many digits.
FLOAT_DIGITS = 15
# A number with more places is not written out: no DECIMAL has so many.
MOST_PLACES = 40
# What needs no look: texts, whole numbers, names and commas. Then a number with a point or an
# exponent, or a bracket. An open text ends with its line, so that no text is read twice.
TOKEN = re.compile(
    r"""((?:"(?:[^"\\\n]++|\\[^\n])*+"?|[^"\d{}\[\]-]++|-?\d++(?![\d.eE]))*+)"""
    r"""(-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?(?=[\s,}\]])|[{}\[\]])?"""
)


# What counts the names of an object: the texts, which may have any mark, brackets and commas.
PARTS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[{}\[\],]')


def whole_lines(texts: Iterator[str]) -> Iterator[str]:
    """The same text in blocks that end with a line."""
    rest = ""
    for text in texts:
        lines, end, begun = text.rpartition("\n")
        if end:
            yield f"{rest}{lines}{end}"
            rest = ""
        rest += begun
    yield f"{rest}\n"


def has_more_names(line: str, most: int) -> bool:
    """Whether the object of a JSON line has more than *most* names, as its commas say."""
    depth, commas = 0, 0
    for match in PARTS.finditer(line):
        found = match[0]
        if found in "{[":
            depth += 1
        elif found in "]}":
            depth -= 1
        elif found == "," and depth == 1:
            commas += 1
            if commas >= most:
                return True
    return False


def exact(blocks: Iterator[str]) -> Iterator[str]:
    """JSON lines in which each number with a point or an exponent is a text with its digits.

    In an object or a list within a line, only numbers that a float does not hold are texts.
    """
    depth = 0

    def written(match: re.Match[str]) -> str:
        nonlocal depth
        before, found = match.groups()
        if found is None:
            return str(before)
        if found in "{[":
            depth += 1
        elif found in "]}":
            depth -= 1
        elif depth == 1 or _digits(found) > FLOAT_DIGITS:
            return f'{before}"{plain(found)}"'
        return f"{before}{found}"

    for block in blocks:
        yield TOKEN.sub(written, block)


def plain(number: str) -> str:
    """The same number without an exponent, unless it has very many places."""
    if "e" not in number.casefold():
        return number
    exponent = re.split("[eE]", number)[1].lstrip("+-0")
    if len(exponent) > len(str(MOST_PLACES)) or int(exponent or 0) > MOST_PLACES:
        return number
    return format(Decimal(number), "f")


def _digits(number: str) -> int:
    return sum(map(str.isdigit, re.split("[eE]", number)[0].lstrip("-0.")))
