"""Schema contract: compare the columns of a file with the declared ones, and decide what to do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from materia.kit.text import on_one_line, together
from materia_http.verified import UnusableFileError

from materia_snapshots.declaration import plain_header
from materia_snapshots.pages import Pages

if TYPE_CHECKING:
    from materia_snapshots.declaration import Snapshots

# DuckDB takes minutes for a statement with very many columns.
MOST_COLUMNS = 2_000
# More of them make a message no clearer.
NAMED_COLUMNS = 20
SHOWN_HEADER = 60  # characters
MARK = re.compile(r"\(declaration ([0-9a-f]{8})\)$")


def expected(source: Snapshots) -> str:
    """The declared columns, for a message."""
    return "expected the columns " + ",".join(one.headers[0] for one in source.table.values())


def marked(source: Snapshots, reason: object) -> str:
    """The *reason* of a refusal, with a mark of the declaration that it is due to."""
    return f"{reason} (declaration {_declaration(source)})"


def liftable(source: Snapshots, reason: str | None) -> bool:
    """Whether a file that was refused for that *reason* may be of use now: it is asked for again.

    It may when the declaration is another one by now, or when a setting can accept it.
    """
    if reason is None:
        return False
    mark = MARK.search(reason)
    if mark is not None and mark[1] != _declaration(source):
        return True
    return source.schema == "ask" and _setting(source) in reason


def _declaration(source: Snapshots) -> str:
    """A short hash of all in the declaration that decides whether a file can be used."""
    columns = [(name, one.type, one.headers, one.format) for name, one in source.table.items()]
    form = None if isinstance(source.form, Pages) else source.form
    parts = (form, source.each, source.key, columns, source.schema, source.ignore)
    return hashlib.sha256(repr((*parts, source.most_bytes)).encode()).hexdigest()[:8]


def new_columns(source: Snapshots, headers: Sequence[str], accept: Sequence[str]) -> list[str]:
    """The undeclared columns of a file to load, when its schema is accepted.

    Args:
        source: The declaration.
        headers: The columns of the file.
        accept: Columns that the user accepts as new or missing.

    Raises:
        UnusableFileError: the schema is refused; the message names the columns, and the setting
            that accepts them.
    """
    if len(headers) > MOST_COLUMNS:
        raise UnusableFileError(f"has more than {MOST_COLUMNS:,} columns; {expected(source)}")
    plain = [plain_header(one) for one in headers]
    if twice := sorted({one for one in plain if plain.count(one) > 1}):
        raise UnusableFileError(f"has the column {twice[0]} more than once")
    declared = {
        plain_header(header): name for name, one in source.table.items() for header in one.headers
    }
    named = [declared[one] for one in plain if one in declared]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise UnusableFileError(f"has two columns for {twice[0]}; {expected(source)}")
    ignored = {plain_header(one) for one in source.ignore}
    new = [on_one_line(one) for one in headers if plain_header(one) not in {*declared, *ignored}]
    missing = [one.headers[0] for name, one in source.table.items() if name not in named]
    keys = {source.table[name].headers[0] for name in source.key}
    if lost := [one for one in missing if one in keys]:
        raise UnusableFileError(
            f"lacks the key column {lost[0]}; it has {_shown(headers)}; {expected(source)}"
        )
    if source.schema == "refuse" and (new or missing):
        raise UnusableFileError(f"{_difference(new, missing)}; {expected(source)}")
    if source.schema == "ask":
        accepted = {plain_header(one) for one in accept}
        new_ones = [one for one in new if plain_header(one) not in accepted]
        missing_ones = [one for one in missing if plain_header(one) not in accepted]
        if asked := [*new_ones, *missing_ones]:
            names = ", ".join(f'"{one}"' for one in dict.fromkeys([*accept, *asked]))
            raise UnusableFileError(
                f"{_difference(new_ones, missing_ones)}; {expected(source)}; to load it all the "
                f"same, set {_setting(source)} = [{names}] in materia.toml"
            )
    return new


def _shown(headers: Sequence[str]) -> str:
    """The columns of a file that may be no table at all, in a few words."""
    text = on_one_line(",".join(headers))
    return repr(text if len(text) <= SHOWN_HEADER else f"{text[:SHOWN_HEADER]}...")


def _setting(source: Snapshots) -> str:
    return f"sources.{source.name}.accept"


def _difference(new: Sequence[str], missing: Sequence[str]) -> str:
    parts = [
        f"{verb} the column{'s' if len(names) > 1 else ''} {_together(names)}"
        for verb, names in (("has also", new), ("lacks", missing))
        if names
    ]
    return " and ".join(parts)


def _together(names: Sequence[str]) -> str:
    more = len(names) - NAMED_COLUMNS
    shown = [name or "'' (it has no name)" for name in names[:NAMED_COLUMNS]]
    return together([*shown, *([f"{more:,} more"] if more > 0 else [])])
