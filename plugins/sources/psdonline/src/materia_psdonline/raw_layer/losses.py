"""Losses: balances, commodities, countries and years that a release lacks and the one before had.

They come from the rows that ended or began with the release, which are few; both releases are
counted in full only when balances are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
from materia.kit.sql import literal

from materia_psdonline.raw_layer.history import BALANCE, STAMPS, VALUES
from materia_psdonline.raw_layer.validity import Spans
from materia_psdonline.release_file.limits import LAST_YEAR

# In percent. A month adds balances and removes hardly any: the real files have one balance per
# commodity, country and market year, and all of them are in the next month again.
EXPECTED = 98
SHOWN = 3
KINDS = {"commodity": "commodity_code", "country": "country_code", "market year": "market_year"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A release of one archive in one database.

    Attributes:
        schema: The schema of its tables.
        archive: Stem of the file.
        release: First day of its month.
        shift: Years by which its coffee has a later label than today's.
    """

    schema: str
    archive: str
    release: date
    shift: int

    def members(self, spans: Spans) -> str:
        """SQL for its rows."""
        name, inside = f"{self.schema}.{spans.name}", f"archive = '{self.archive}'"
        day = literal(self.release)
        return f"""(
            SELECT {spans.row} FROM {name} WHERE {inside} AND first_release <= {day}
            UNION ALL
            SELECT {spans.row} FROM {name}_ended
            WHERE {inside} AND first_release <= {day} AND end_release > {day}
        )"""


def find_losses(
    connection: duckdb.DuckDBPyConnection, before: Edition, after: Edition, name: str
) -> Iterator[str]:
    """Sentences about the losses of *after* against *before*, which they call *name*."""
    count = _Count(connection, before, after)
    ((_, had, has),) = count.balances("0", ())
    if has < had and _is_less(had, has):
        yield (
            f"holds {has:,} balances where {name} had {had:,} "
            f"({100 * has / had:.1f} %, expected at least {EXPECTED} %)"
        )
    left_out: list[str] = []
    for kind, column in KINDS.items():
        if kind == "market year" and before.shift != after.shift:
            continue  # a coffee year with a new label is not lost
        gone = [lost for lost in count.balances(column, ()) if not lost[2]]
        if gone:
            names = _names(connection, kind, before)
            called = _some([_called(code, names) for code, _, _ in gone])
            yield f"has no {_plural(kind, gone)} {called}, which {name} had"
            codes = ", ".join(literal(str(code)) for code, _, _ in gone)
            left_out.append(f"{column}::VARCHAR IN ({codes})")
    # A loss that is already reported does not count again.
    for kind in ("commodity", "country"):
        fewer = [
            lost for lost in count.balances(KINDS[kind], left_out) if _is_less(lost[1], lost[2])
        ]
        if fewer:
            names = _names(connection, kind, before)
            called = _some([f"{_called(code, names)} ({n:,} of {m:,})" for code, m, n in fewer])
            yield (
                f"has fewer than {EXPECTED} % of the balances that {name} had of the "
                f"{_plural(kind, fewer)} {called}"
            )


def find_lost_attributes(
    connection: duckdb.DuckDBPyConnection,
    before: Edition,
    after: Edition,
    name: str,
    fewer: Sequence[tuple[int, int]],
) -> Iterator[str]:
    """Sentences about the pairs of commodity and attribute with *fewer* figures than before."""
    pairs = ", ".join(f"({commodity}, {attribute})" for commodity, attribute in fewer)
    counts = connection.execute(f"""
        WITH had AS ({_rows(before, pairs)}), has AS ({_rows(after, pairs)}),
            alive AS (SELECT DISTINCT commodity_code FROM {after.members(STAMPS)})
        SELECT had.commodity_code, had.attribute_id, had.rows, coalesce(has.rows, 0)
        FROM had LEFT JOIN has USING (commodity_code, attribute_id)
        SEMI JOIN alive USING (commodity_code)
        ORDER BY ALL
    """).fetchall()
    # Figures of lost balances are already reported.
    share = {
        code: has / had
        for code, had, has in _Count(connection, before, after).balances("commodity_code", ())
    }
    lost = [
        f"{attribute:03} of {commodity:07} ({has:,} of {had:,})"
        for commodity, attribute, had, has in counts
        if _is_less(had, has) and 100 * has < EXPECTED * had * min(1.0, share[commodity])
    ]
    if lost:
        yield f"has fewer figures than {name} of the attribute{_s(lost)} {_some(lost)}"


def _rows(edition: Edition, pairs: str) -> str:
    return f"""
        SELECT commodity_code, attribute_id, count(value) AS rows FROM {edition.members(VALUES)}
        WHERE (commodity_code, attribute_id) IN ({pairs}) GROUP BY ALL
    """


@dataclass(frozen=True, slots=True)
class _Count:
    """Counts of the balances of two editions by one of their columns."""

    connection: duckdb.DuckDBPyConnection
    before: Edition
    after: Edition

    def balances(self, column: str, left_out: Sequence[str]) -> list[tuple[object, int, int]]:
        """The counts of both editions by value of *column*, the greatest loss first."""
        where = "".join(f" AND NOT {condition}" for condition in left_out)
        return self.connection.execute(f"""
            WITH had AS (SELECT {column} AS code, count(*) AS n
                FROM {self.before.members(STAMPS)} WHERE true{where} GROUP BY 1),
            has AS (SELECT {column} AS code, count(*) AS n
                FROM {self.after.members(STAMPS)} WHERE true{where} GROUP BY 1)
            SELECT code, had.n, coalesce(has.n, 0) FROM had LEFT JOIN has USING (code)
            ORDER BY coalesce(has.n, 0) - had.n, code::VARCHAR
        """).fetchall()


def _names(connection: duckdb.DuckDBPyConnection, kind: str, edition: Edition) -> Mapping[str, str]:
    found = connection.execute(f"""
        SELECT code, max(label) FROM (
            SELECT archive, kind, code, label FROM {edition.schema}.psd_label
            UNION ALL SELECT archive, kind, code, label FROM {edition.schema}.psd_label_ended
        ) WHERE archive = '{edition.archive}' AND kind = '{kind}' GROUP BY code
    """).fetchall()
    return dict(found)


def _called(code: object, names: Mapping[str, str]) -> str:
    text = f"{code:07}" if isinstance(code, int) and code > LAST_YEAR else str(code)
    return f"{text} {names.get(text, '')}".rstrip()


def _is_less(had: int, has: int) -> bool:
    return 100 * has < EXPECTED * had


def _plural(kind: str, several: Sequence[object]) -> str:
    many = {"commodity": "commodities", "country": "countries", "market year": "market years"}
    return many[kind] if len(several) > 1 else kind


def _s(several: Sequence[object]) -> str:
    return "s" if len(several) > 1 else ""


def _some(examples: Sequence[str]) -> str:
    """Up to three examples, and the number of the rest."""
    more = len(examples) - SHOWN
    return "; ".join(examples[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def lost_balances(
    connection: duckdb.DuckDBPyConnection, releases: Sequence[date]
) -> set[tuple[str, date]]:
    """The releases, by archive and month, that lack a balance of the one before."""
    balance, days = ", ".join(BALANCE), ", ".join(map(literal, releases))
    found = connection.execute(f"""
        WITH went AS (
            SELECT archive, end_release AS release, {balance} FROM raw.psd_stamp_ended
            WHERE end_release IN ({days})
        ),
        came AS (
            SELECT archive, first_release AS release, {balance} FROM raw.psd_stamp
            WHERE first_release IN ({days})
            UNION ALL
            SELECT archive, first_release AS release, {balance} FROM raw.psd_stamp_ended
            WHERE first_release IN ({days})
        )
        SELECT DISTINCT went.archive::VARCHAR, went.release
        FROM went ANTI JOIN came USING (archive, release, {balance})
    """).fetchall()
    return set(found)
