"""Warnings about loaded releases: lost balances, a missing own stamp, mixed units, empty names.

materia checks the releases whose difference to the one before was written since the last publish,
so it also checks a load that was killed before its publish.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import duckdb
from materia.kit.sql import literal

from materia_psdonline.raw_layer.history import STAMPS, VALUES
from materia_psdonline.raw_layer.losses import (
    EXPECTED,
    SHOWN,
    Edition,
    find_losses,
    find_lost_attributes,
    lost_balances,
)
from materia_psdonline.release_file.limits import month_of, stamp_of
from materia_psdonline.releases import key_of

# The months in which USDA releases the archives: grains, oilseeds and cotton every month, the
# others in those listed (the months of fruits, tree nuts and the two breakdowns are not known).
EVERY_MONTH = frozenset(range(1, 13))
CALENDAR: Mapping[str, frozenset[int]] = {
    "psd_alldata": EVERY_MONTH,
    "psd_grains_pulses": EVERY_MONTH,
    "psd_oilseeds": EVERY_MONTH,
    "psd_cotton": EVERY_MONTH,
    "psd_coffee": frozenset({6, 12}),
    "psd_sugar": frozenset({5, 11}),
    "psd_livestock": frozenset({4, 10}),
    "psd_dairy": frozenset({7, 12}),
}
# The attributes that add up in a balance: stocks, production, trade, supply and the kinds of use.
# Areas, yields, rates and herds have units of their own.
ADDED_UP = (20, 28, 57, 86, 88, 117, 125, 126, 132, 135, 142, 150, 169, 172, 176, 178)


@dataclass(frozen=True, slots=True)
class _Release:
    """A loaded release, the one before it, their rows, and whether it is new."""

    edition: Edition
    before: Edition | None
    rows: int
    rows_before: int

    @property
    def key(self) -> str:
        return key_of(self.edition.release, self.edition.archive)


# Figures that began or ended with a release, by archive, release, commodity, attribute and unit.
_Changes = Mapping[tuple[str, date], Mapping[tuple[int, int, int], tuple[int, int]]]


def find_remarks(
    connection: duckdb.DuckDBPyConnection, releases: Sequence[date], published: str | None
) -> dict[str, tuple[str, ...]]:
    """Remarks on these *releases*, by partition key.

    *published* is the schema of the published raw layer, if any: a replaced release is also
    compared with its published state.
    """
    if not releases:
        return {}
    loaded = [one for one in _loaded(connection) if one.edition.release in set(releases)]
    lost = lost_balances(connection, releases)
    changes = _changes(connection, releases)
    replaced = _replaced(connection, loaded, published)
    unnamed = _unnamed(connection, releases)
    found: dict[str, tuple[str, ...]] = {}
    for one in loaded:
        place = (one.edition.archive, one.edition.release)
        said = [
            *_losses(connection, one, gone=place in lost, changes=changes.get(place, {})),
            *_own_stamp(connection, one.edition),
            *_units(connection, one.edition, changes.get(place, {})),
            *unnamed.get(place, ()),
        ]
        if not said and (former := replaced.get(place)) is not None:
            said += find_losses(connection, former, one.edition, "the file it replaces")
        if said:
            found[one.key] = tuple(said)
    return found


def _loaded(connection: duckdb.DuckDBPyConnection) -> list[_Release]:
    by_archive: dict[str, list[tuple[Edition, int]]] = defaultdict(list)
    for edition, rows, _ in _editions(connection, "raw"):
        by_archive[edition.archive].append((edition, rows))
    releases = []
    for editions in by_archive.values():
        first, rows = editions[0]
        releases.append(_Release(first, None, rows, 0))
        releases += [
            _Release(edition, before, rows, rows_before)
            for (before, rows_before), (edition, rows) in pairwise(editions)
        ]
    return releases


def _editions(connection: duckdb.DuckDBPyConnection, schema: str) -> list[tuple[Edition, int, str]]:
    """Each loaded release with its rows and its content, oldest first."""
    rows = connection.execute(f"""
        SELECT archive::VARCHAR, release, coffee_year_shift, rows, content
        FROM {schema}.psd_release ORDER BY release, archive
    """).fetchall()
    return [
        (Edition(schema=schema, archive=archive, release=release, shift=shift), count, content)
        for archive, release, shift, count, content in rows
    ]


def _replaced(
    connection: duckdb.DuckDBPyConnection, loaded: Sequence[_Release], published: str | None
) -> dict[tuple[str, date], Edition]:
    """The published state of the releases whose file has been replaced since."""
    if published is None:
        return {}
    contents = {
        (edition.archive, edition.release): content
        for edition, _, content in _editions(connection, "raw")
    }
    wanted = {(one.edition.archive, one.edition.release) for one in loaded}
    try:
        before = _editions(connection, published)
    except (duckdb.CatalogException, duckdb.BinderException):
        return {}
    return {
        place: edition
        for edition, _, content in before
        if (place := (edition.archive, edition.release)) in wanted and contents[place] != content
    }


def _changes(connection: duckdb.DuckDBPyConnection, releases: Sequence[date]) -> _Changes:
    days = ", ".join(map(literal, releases))
    came = """
        SELECT archive, first_release AS release, commodity_code, attribute_id, unit_id, true AS new
        FROM raw.{} WHERE value IS NOT NULL AND first_release IN ({})
    """
    rows = connection.execute(f"""
        SELECT archive::VARCHAR, release, commodity_code, attribute_id, unit_id,
            count(*) FILTER (new), count(*) FILTER (NOT new)
        FROM (
            {came.format(VALUES.name, days)}
            UNION ALL {came.format(f"{VALUES.name}_ended", days)}
            UNION ALL
            SELECT archive, end_release, commodity_code, attribute_id, unit_id, false
            FROM raw.{VALUES.name}_ended WHERE value IS NOT NULL AND end_release IN ({days})
        ) GROUP BY ALL
    """).fetchall()
    changes: dict[tuple[str, date], dict[tuple[int, int, int], tuple[int, int]]] = {}
    for archive, release, commodity, attribute, unit, new, ended in rows:
        changes.setdefault((archive, release), {})[commodity, attribute, unit] = (new, ended)
    return changes


def _losses(
    connection: duckdb.DuckDBPyConnection,
    one: _Release,
    *,
    gone: bool,
    changes: Mapping[tuple[int, int, int], tuple[int, int]],
) -> Iterator[str]:
    if one.before is None:
        return
    name = f"{one.before.release:%Y-%m}"
    explained = False
    if gone:
        for sentence in find_losses(connection, one.before, one.edition, name):
            explained = True
            yield sentence
    net: dict[tuple[int, int], int] = defaultdict(int)
    for (commodity, attribute, _), (new, ended) in changes.items():
        net[commodity, attribute] += new - ended
    fewer = sorted(pair for pair, more in net.items() if more < 0)
    if fewer:
        yield from find_lost_attributes(connection, one.before, one.edition, name, fewer)
    if not explained and 100 * one.rows < EXPECTED * one.rows_before:
        yield f"holds {one.rows:,} rows where {name} had {one.rows_before:,}"


def _own_stamp(connection: duckdb.DuckDBPyConnection, edition: Edition) -> Iterator[str]:
    """Check that a release has stamps of its own.

    USDA touches all balances of a commodity's newest market year in each release.
    """
    if edition.release.month not in CALENDAR.get(edition.archive, ()):
        return
    # The newest year and in it the newest stamp, as one number, take one pass.
    found = connection.execute(f"""
        SELECT max(newest % 1000000), max(ever) FROM (
            SELECT max(market_year::BIGINT * 1000000 + stamp) AS newest, max(stamp) AS ever
            FROM (
                SELECT commodity_code, market_year,
                    if(month > 0, calendar_year::INTEGER * 100 + month, 0) AS stamp
                FROM {edition.members(STAMPS)}
            ) GROUP BY commodity_code
        )
    """).fetchone()
    newest, ever = found or (None, None)
    if newest == stamp_of(edition.release):
        return
    edited = f"; its newest edit is from {month_of(ever)}" if ever else ""
    yield (
        f"has no balance of a newest market year that was edited in {edition.release:%Y-%m}, as "
        f"each real release has{edited}: part of it is missing, or it is an older release"
    )


def _units(
    connection: duckdb.DuckDBPyConnection,
    edition: Edition,
    changes: Mapping[tuple[int, int, int], tuple[int, int]],
) -> Iterator[str]:
    """Changed balances with mixed units, whose figures do not add up."""
    came: dict[int, set[int]] = defaultdict(set)
    ended: dict[int, set[int]] = defaultdict(set)
    for (commodity, attribute, unit), (new, old) in changes.items():
        if attribute in ADDED_UP:
            came[commodity] |= {unit} if new else set()
            ended[commodity] |= {unit} if old else set()
    # A unit that ended as well was there before, and with one unit alone nothing differs.
    suspects = sorted(
        commodity
        for commodity, units in came.items()
        if len(units) > 1 or not units <= ended[commodity]
    )
    if not suspects:
        return
    rows = connection.execute(f"""
        SELECT commodity_code, country_code::VARCHAR, market_year, list_sort(list(DISTINCT unit_id))
        FROM {edition.members(VALUES)}
        WHERE commodity_code IN ({", ".join(map(str, suspects))})
            AND attribute_id IN ({", ".join(map(str, ADDED_UP))})
        GROUP BY ALL HAVING min(unit_id) <> max(unit_id) ORDER BY ALL
    """).fetchall()
    if rows:
        examples = "; ".join(
            f"commodity {commodity:07}, country {country}, market year {year} (units "
            f"{' and '.join(f'{unit:02}' for unit in units)})"
            for commodity, country, year, units in rows[:SHOWN]
        )
        more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
        yield f"has quantities in different units within one balance: {examples}{more}"


def _unnamed(
    connection: duckdb.DuckDBPyConnection, releases: Sequence[date]
) -> dict[tuple[str, date], tuple[str, ...]]:
    """New codes with an empty description."""
    days = ", ".join(map(literal, releases))
    rows = connection.execute(f"""
        SELECT archive::VARCHAR, first_release, kind, code FROM (
            SELECT archive, first_release, kind, code, label FROM raw.psd_label
            UNION ALL SELECT archive, first_release, kind, code, label FROM raw.psd_label_ended
        ) WHERE trim(label) = '' AND first_release IN ({days}) ORDER BY ALL
    """).fetchall()
    found: dict[tuple[str, date], tuple[str, ...]] = {}
    for archive, release, kind, code in rows:
        place = (archive, release)
        found[place] = (*found.get(place, ()), f"has no name for the {kind} {code}")
    return found
