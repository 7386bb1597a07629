"""Diff of one release against the rows it starts from, and its application to the history.

Two ways give the same tables. The line diff of the texts reads only the changed lines; reading all
rows is slower and handles every unusual case.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
from materia.data import RawFile
from materia.kit.sql import literal

from materia_psdonline.raw_layer.history import (
    ALL_SPANS,
    BALANCE,
    LABELS,
    LINE,
    STAMPS,
    VALUES,
    encode,
    lines,
)
from materia_psdonline.raw_layer.validity import Moved, OutOfStepError, ReleasePosition
from materia_psdonline.release_file.csv_rows import (
    parse,
    read_labels,
    refuse_duplicates,
    refuse_impossible,
    refuse_later,
)
from materia_psdonline.release_file.csv_text import as_csv, diff_texts, unpacked

# Above this many bytes of changed lines (a tenth of a full release removed and added) parsing the
# whole text is faster.
DIFF_LIMIT = 40_000_000
Labels = dict[tuple[str, str], str]


class NotTheseLinesError(Exception):
    """The changed lines alone are not enough: the whole text must be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One release to load into the history.

    Attributes:
        raw: Its file.
        path: The file on this machine.
        place: Its position among the loaded releases.
        beside: The file of the release whose rows it starts from, or None for the first release or
            when that file is missing.
        directory: For temporary files.
    """

    raw: RawFile
    path: Path
    place: ReleasePosition
    beside: Path | None
    directory: Path


def replace_lines(connection: duckdb.DuckDBPyConnection, step: Step) -> Moved:
    """Load a release from the lines that differ from the file beside it.

    Raises:
        ArchiveError: a line cannot be used.
        LineTooLongError: a line is too long for the diff.
        NotTheseLinesError: too many lines differ, or they do not match the existing rows.
    """
    if step.beside is None:
        raise NotTheseLinesError
    changes = diff_texts(step.beside, step.path, step.raw.file, limit=DIFF_LIMIT)
    if changes is None:
        raise NotTheseLinesError
    place = step.place
    for spans in ALL_SPANS:
        spans.reach_back(connection, place)
    with as_csv(changes.removed, step.directory) as name:
        parse(connection, name, "lines_removed")
    with as_csv(changes.added, step.directory) as name:
        labels = read_labels(connection, name)
        parse(connection, name, "lines_added")
    refuse_impossible(connection, "lines_added", place.release)
    known = _labels(connection, place)
    # A code with a new description has it in all its lines, or the file contradicts itself.
    if any(known.get(code, label) != label for code, label in labels.items()):
        raise NotTheseLinesError
    # A balance is encoded as a whole, so its unchanged lines are needed too.
    balance = ", ".join(BALANCE)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE balances_touched AS
        SELECT {balance} FROM lines_removed UNION SELECT {balance} FROM lines_added
    """)
    for spans in (VALUES, STAMPS):
        spans.gather(connection, place, "balances_touched", balance)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE lines_after AS
        SELECT * FROM {lines(VALUES.near, STAMPS.near)} AS old
        ANTI JOIN lines_removed AS gone ON {_same("old", "gone")}
        UNION ALL FROM lines_added;
    """)
    counts = connection.execute(f"""
        SELECT (SELECT count(*) FROM {VALUES.near}) - (SELECT count(*) FROM lines_removed)
            + (SELECT count(*) FROM lines_added) - (SELECT count(*) FROM lines_after)
    """).fetchone()
    if counts != (0,):
        raise NotTheseLinesError
    return _change(
        connection,
        place,
        before=(VALUES.near, STAMPS.near),
        known=known,
        labels=labels,
        gathered=True,
    )


def replace_rows(
    connection: duckdb.DuckDBPyConnection, step: Step, *, one_line_end: bool = False
) -> Moved:
    """Load a release by reading all rows; *one_line_end* normalizes the line ends first.

    Raises:
        ArchiveError: the file cannot be used; the message says where and why.
    """
    place = step.place
    with unpacked(step.path, step.raw.file, step.directory, one_line_end=one_line_end) as name:
        labels = read_labels(connection, name)
        parse(connection, name, "lines_after")
    refuse_impossible(connection, "lines_after", place.release)
    if place.start is None:
        values, stamps = encode(connection, "lines_after", "balances_after")
        refuse_duplicates(connection, "lines_after", "balances_after")
        STAMPS.insert_first(connection, place, f"({stamps})")
        _fill_labels(connection, {}, labels)
        LABELS.insert_first(connection, place, LABELS.added)
        moved = VALUES.insert_first(connection, place, f"({values})")
    else:
        for spans in ALL_SPANS:
            spans.reach_back(connection, place)
        known = _labels(connection, place)
        moved = _change(
            connection,
            place,
            before=(VALUES.members(place), STAMPS.members(place)),
            known=known,
            labels=labels,
        )
    connection.execute("DROP TABLE lines_after")
    return moved


def _change(
    connection: duckdb.DuckDBPyConnection,
    place: ReleasePosition,
    *,
    before: tuple[str, str],
    known: Labels,
    labels: Labels,
    gathered: bool = False,
) -> Moved:
    """Apply the difference from *before* to `lines_after`; both contain whole balances.

    *before* is SQL for values and stamps, *gathered* or not.
    """
    after = encode(connection, "lines_after", "balances_after")
    refuse_duplicates(connection, "lines_after", "balances_after")
    for spans, was, now in zip((VALUES, STAMPS), before, after, strict=True):
        spans.create_changes(connection, was, f"({now})")
    _fill_labels(connection, known, labels)
    try:
        moved = VALUES.change(connection, place, gathered=gathered)
        STAMPS.change(connection, place, gathered=gathered)
        LABELS.change(connection, place)
    except OutOfStepError as error:
        raise NotTheseLinesError from error
    if place.start is not None and place.start > place.release:
        # Unchanged lines may come from a later release, with stamps too late for this one.
        refuse_later(connection, STAMPS.members(place), place.release)
    return moved


def _same(left: str, right: str) -> str:
    return " AND ".join(
        f"{left}.{name} {'IS NOT DISTINCT FROM' if name == 'value' else '='} {right}.{name}"
        for name in LINE
    )


def _labels(connection: duckdb.DuckDBPyConnection, place: ReleasePosition) -> Labels:
    rows = connection.execute(f"SELECT kind, code, label FROM {LABELS.members(place)}").fetchall()
    return {(kind, code): label for kind, code, label in rows}


def _fill_labels(connection: duckdb.DuckDBPyConnection, known: Labels, labels: Labels) -> None:
    """Fill the label changes; a code that is not in *labels* keeps its description."""
    added = {code: label for code, label in labels.items() if known.get(code) != label}
    removed = {code: known[code] for code in added.keys() & known.keys()}
    for table, rows in ((LABELS.removed, removed), (LABELS.added, added)):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} (kind VARCHAR, code VARCHAR, label VARCHAR)"
        )
        if rows:
            lines = [", ".join(map(literal, (*code, label))) for code, label in rows.items()]
            connection.execute(f"INSERT INTO {table} VALUES ({'), ('.join(sorted(lines))})")
