"""Tables of the raw layer: the history of all archives, from which any release can be read exactly.

Tables in the schema `raw`, each of the first three a pair (see `validity`):

- `psd_value`: the figures, one row per (commodity, country, market year, attribute);
- `psd_stamp`: when each balance was last edited. All rows of a balance have the same stamp in the
  files, and four of five changed lines have only a new stamp on old values. So the table has one
  stamp per balance. A row with another stamp keeps its own (never seen, but exact);
- `psd_label`: the descriptions of the codes;
- `psd_release`: the releases that are loaded;
- `psd_touched`: when materia last wrote the difference between a release and the one before it.

The view `psd_by_release` and the macro `as_of(release)` join them again, and so does the model
`raw.psd_current` for the newest release. The views `psd_forecast` and `psd_balance_as_of` have the
figures as of every month, typed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import product
from string import ascii_uppercase, digits

import duckdb
from materia.data import RawFile
from materia.kit.sql import literal

from materia_psdonline.raw_layer.forecast_views import forecast_views
from materia_psdonline.raw_layer.release_views import release_views
from materia_psdonline.raw_layer.validity import Moved, ReleasePosition, Spans
from materia_psdonline.release_file.zip_member import stem
from materia_psdonline.settings import KNOWN_FILES

# A line of the files without its descriptions. DECIMAL(18,4): the files have four decimals, so sums
# are exact. Codes are numbers, which load twice as fast as text; the load checks their width, and
# the views restore it. The country codes are an enumeration of all possible ones: a type that is in
# use cannot grow.
COUNTRIES = tuple(map("".join, product(digits + ascii_uppercase, repeat=2)))
BALANCE = ("commodity_code", "country_code", "market_year")
KEY = (*BALANCE, "attribute_id")
LINE = {
    "commodity_code": "INTEGER",
    "country_code": "psd_country",
    "market_year": "SMALLINT",
    "attribute_id": "SMALLINT",
    "unit_id": "TINYINT",
    "calendar_year": "SMALLINT",
    "month": "TINYINT",
    "value": "DECIMAL(18,4)",
}
STAMP = ("calendar_year", "month")

VALUES = Spans(
    name="psd_value",
    columns={
        **{name: kind for name, kind in LINE.items() if name not in STAMP},
        "own_calendar_year": LINE["calendar_year"],
        "own_month": LINE["month"],
    },
    key=KEY,
    nullable=("value", "own_calendar_year", "own_month"),
)
STAMPS = Spans(
    name="psd_stamp", columns={name: LINE[name] for name in (*BALANCE, *STAMP)}, key=BALANCE
)
LABELS = Spans(
    name="psd_label",
    columns={"kind": "VARCHAR", "code": "VARCHAR", "label": "VARCHAR"},
    key=("kind", "code"),
)
ALL_SPANS = (VALUES, STAMPS, LABELS)

_lines = ", ".join(LINE)
_balance = ", ".join(BALANCE)
_STAMP = "(calendar_year::INTEGER * 100 + month)"
_resolved = """
    v.commodity_code, v.country_code, v.market_year, v.attribute_id, v.unit_id,
    coalesce(v.own_calendar_year, s.calendar_year) AS calendar_year,
    coalesce(v.own_month, s.month) AS month, v.value
"""

OLD_COFFEE = "commodity_code = 711100 AND month = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A release that is in the raw layer.

    Attributes:
        archive: Stem of the file, for example `psd_alldata`.
        release: First day of its month.
        sha256: SHA-256 of the file it was loaded from, in hex.
        content: Identity of the CSV text in the file.
    """

    archive: str
    release: date
    sha256: str
    content: str


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the missing tables and types; idempotent."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
    for name, values in (("psd_archive", map(stem, KNOWN_FILES)), ("psd_country", COUNTRIES)):
        listed = ", ".join(map(literal, values))
        connection.execute(f"CREATE TYPE IF NOT EXISTS {name} AS ENUM ({listed})")
    for spans in ALL_SPANS:
        connection.execute(spans.ddl())
    connection.execute("""
        CREATE TABLE IF NOT EXISTS raw.psd_release (
            archive psd_archive NOT NULL, release DATE NOT NULL, rows INTEGER NOT NULL,
            sha256 VARCHAR NOT NULL, content VARCHAR NOT NULL,
            coffee_year_shift TINYINT NOT NULL
        );
        CREATE TABLE IF NOT EXISTS raw.psd_touched (
            release DATE NOT NULL, touched_at TIMESTAMP NOT NULL
        );
    """)
    connection.execute(release_views(_balance, _resolved))
    connection.execute(forecast_views())


def loaded(connection: duckdb.DuckDBPyConnection) -> list[Loaded]:
    """The loaded releases, oldest first; none without tables."""
    try:
        rows = connection.execute(
            "SELECT archive, release, sha256, content FROM raw.psd_release "
            "ORDER BY release, archive"
        ).fetchall()
    except duckdb.CatalogException:
        return []
    return [
        Loaded(archive=archive, release=release, sha256=sha256, content=content)
        for archive, release, sha256, content in rows
    ]


def touched(
    connection: duckdb.DuckDBPyConnection, schema: str = "raw"
) -> set[tuple[date, datetime]]:
    """When the difference between each release and the one before was written, in UTC."""
    times = f"SELECT release, touched_at FROM {schema}.psd_touched"
    try:
        return set(connection.execute(times).fetchall())
    except duckdb.CatalogException:
        return set()


def encode(connection: duckdb.DuckDBPyConnection, rows: str, name: str) -> tuple[str, str]:
    """Queries for the values and the stamps of whole balances; *rows* is SQL for their lines.

    The stamp of a balance is the newest of its lines. The temporary table *name* gets one row per
    balance; its column `once` is true where each attribute certainly occurs once.
    """
    # Each attribute sets a bit; ids above 255 do not exist and set none. This finds two equal keys
    # three times faster than comparing all keys.
    bit = "1::UBIGINT << (attribute_id % 64)::UBIGINT"
    bits = " + ".join(
        f"coalesce(bit_count(bit_or({bit}) FILTER (attribute_id // 64 = {word})), 0)"
        for word in range(4)
    )
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {name} AS
        SELECT {_balance}, max({_STAMP}) AS stamp, min({_STAMP}) AS oldest,
            count(*) = {bits} AS once
        FROM {rows} GROUP BY {_balance}
    """)
    stamps = f"""
        SELECT {_balance},
            (stamp // 100)::SMALLINT AS calendar_year, (stamp % 100)::TINYINT AS month
        FROM {name}
    """
    told = f"{', '.join(KEY)}, unit_id, value"
    mixed = connection.execute(f"SELECT count(*) FROM {name} WHERE stamp <> oldest").fetchone()
    if mixed == (0,):
        return f"SELECT {told}, NULL AS own_calendar_year, NULL AS own_month FROM {rows}", stamps
    values = f"""
        SELECT {told},
            CASE WHEN {_STAMP} <> stamp THEN calendar_year END AS own_calendar_year,
            CASE WHEN {_STAMP} <> stamp THEN month END AS own_month
        FROM {rows} JOIN {name} USING ({_balance})
    """
    return values, stamps


def lines(values: str, stamps: str) -> str:
    """SQL for the lines, without descriptions, from *values* and *stamps* (SQL)."""
    return f"(SELECT {_resolved} FROM {values} AS v JOIN {stamps} AS s USING ({_balance}))"


def record_release(
    connection: duckdb.DuckDBPyConnection, place: ReleasePosition, raw: RawFile
) -> None:
    """Record that the release is loaded, and that the next one has a new difference."""
    _forget(connection, place)
    connection.execute(f"""
        INSERT INTO raw.psd_release
        SELECT {literal(place.archive)}, {literal(place.release)},
            (SELECT count(*) FROM {VALUES.members(place)}),
            {literal(raw.sha256)}, {literal(raw.content)},
            -- Rows from before releases were tracked (month 0) are stamped with their own market
            -- year in today's labelling. Until 2022 or 2023 USDA labelled coffee one year later.
            CASE WHEN 2 * count(*) FILTER (calendar_year = market_year - 1) > count(*)
                THEN -1 ELSE 0 END
        FROM {STAMPS.members(place)} WHERE {OLD_COFFEE}
    """)
    _touch(connection, place)


def remove_release(connection: duckdb.DuckDBPyConnection, place: ReleasePosition) -> Moved:
    """Remove a release from the history; all others stay unchanged."""
    moved = VALUES.remove(connection, place)
    STAMPS.remove(connection, place)
    LABELS.remove(connection, place)
    _forget(connection, place)
    _touch(connection, place)
    return moved


def _forget(connection: duckdb.DuckDBPyConnection, place: ReleasePosition) -> None:
    connection.execute(
        f"DELETE FROM raw.psd_release WHERE archive = {literal(place.archive)} "
        f"AND release = {literal(place.release)}"
    )


def _touch(connection: duckdb.DuckDBPyConnection, place: ReleasePosition) -> None:
    now = literal(datetime.now(UTC).replace(tzinfo=None))
    releases = [release for release in (place.release, place.after) if release is not None]
    rows = ", ".join(f"({literal(release)}, {now})" for release in releases)
    connection.execute(f"INSERT INTO raw.psd_touched VALUES {rows}")
