"""CSV text -> rows of the raw layer: parse what DuckDB can, refuse what cannot be kept exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import duckdb

from materia_psdonline.archive import COLUMNS as CSV_COLUMNS
from materia_psdonline.archive import ArchiveError
from materia_psdonline.history import BALANCE, KEY, LINE

TYPES = {name.lower(): kind for name, kind in LINE.items()}
# The width of a code is lost when it is kept as a number, so it is checked here.
FORMS = {
    "commodity": re.compile(r"\d{7}"),
    "country": re.compile(r"[^\s,]{1,3}"),
    "attribute": re.compile(r"\d{3}"),
    "unit": re.compile(r"\d{2}"),
    "month": re.compile(r"0\d|1[0-2]"),
}
LABELLED = ("commodity", "country", "attribute", "unit")
DECIMALS = 4


def parse(connection: duckdb.DuckDBPyConnection, path: str, table: str) -> None:
    """Fill the temporary *table* with the lines of the CSV at *path*, without descriptions.

    Raises:
        ArchiveError: a line or a value that is not what its column holds.
    """
    columns = ", ".join(
        f"{name} {kind}{'' if name == 'value' else ' NOT NULL'}" for name, kind in LINE.items()
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({columns})")
    try:
        connection.execute(f"INSERT INTO {table} SELECT {', '.join(LINE)} FROM {_csv(path, TYPES)}")
    except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise ArchiveError(_reason(error)) from error
    except duckdb.ConstraintException as error:
        raise ArchiveError(f"has an empty code or date: {error}") from error


def read_labels(connection: duckdb.DuckDBPyConnection, path: str) -> dict[tuple[str, str], str]:
    """The descriptions in the CSV at *path*, with every code's form checked on the way.

    Raises:
        ArchiveError: a code of another width, more decimals than are kept, or one code with two
            descriptions.
    """
    columns = ", ".join(CSV_COLUMNS)
    try:
        groups = connection.execute(f"""
            SELECT
                grouping_id(Commodity_Code, Country_Code, Attribute_ID, Unit_ID, Month),
                Commodity_Code, Commodity_Description, Country_Code, Country_Name,
                Attribute_ID, Attribute_Description, Unit_ID, Unit_Description, Month,
                max(CASE WHEN contains(Value, '.')
                    THEN length(Value) - position('.' IN Value) ELSE 0 END)
            FROM (SELECT {columns} FROM {_csv(path, {})})
            GROUP BY GROUPING SETS (
                (Commodity_Code, Commodity_Description), (Country_Code, Country_Name),
                (Attribute_ID, Attribute_Description), (Unit_ID, Unit_Description), (Month)
            )
        """).fetchall()
    except duckdb.InvalidInputException as error:
        raise ArchiveError(_reason(error)) from error
    found: dict[tuple[str, str], str] = {}
    for kind, code, label, decimals in _pairs(groups):
        if code is None or not FORMS[kind].fullmatch(code):
            raise ArchiveError(f"has {code!r} as a {kind} code")
        if decimals > DECIMALS:
            raise ArchiveError(f"has a value with {decimals} decimals, at most {DECIMALS} are kept")
        if kind == "month":
            continue
        other = found.setdefault((kind, code), label or "")
        if other != (label or ""):
            raise ArchiveError(f"describes the {kind} {code} as both {other!r} and {label!r}")
    return found


def refuse_duplicates(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Raise ArchiveError when two rows of the *table* share their key."""
    if _all_attributes_once(connection, table):
        return
    twice = connection.execute(f"""
        SELECT {", ".join(KEY)}, count(*) FROM {table} GROUP BY ALL HAVING count(*) > 1
        ORDER BY ALL LIMIT 1
    """).fetchone()
    if twice is not None:
        commodity, country, year, attribute, count = twice
        raise ArchiveError(
            f"has {count} rows for commodity {commodity:07}, country {country}, "
            f"market year {year}, attribute {attribute:03}"
        )


def _pairs(groups: list[tuple[object, ...]]) -> Iterator[tuple[str, str | None, str | None, int]]:
    # grouping_id has a bit for each column that a group leaves out, the first column's bit highest.
    places = {0b01111: 0, 0b10111: 1, 0b11011: 2, 0b11101: 3}
    for grouping, *values, decimals in groups:
        if (place := places.get(int(str(grouping)))) is None:
            yield "month", values[8], None, int(str(decimals or 0))  # type: ignore[misc]
        else:
            code, label = values[2 * place], values[2 * place + 1]
            yield LABELLED[place], code, label, int(str(decimals or 0))  # type: ignore[misc]


def _csv(path: str, types: Mapping[str, str]) -> str:
    columns = ", ".join(f"'{name}': '{types.get(name.lower(), 'VARCHAR')}'" for name in CSV_COLUMNS)
    # Sniffing would cost half a second and keep the second processor idle.
    return (
        f"read_csv('{path}', auto_detect = false, header = true, delim = ',', quote = '\"', "
        f"escape = '\"', columns = {{{columns}}})"
    )


def _reason(error: Exception) -> str:
    """What DuckDB's message says about the text, without what it says about its options."""
    parts = [part.strip() for part in str(error).splitlines() if part.strip()]
    found = re.search(r"CSV Error on Line: (\d+)", parts[0])
    if found is None:
        return parts[0]
    # The line itself comes behind its heading or in the line below; then what is wrong with it.
    told = [part for part in parts[1:] if part != "Original Line:"]
    line, problem, *_ = [*told, "", ""]
    line = line.removeprefix("Original Line:").strip()
    return f"line {int(found[1]):,} cannot be read: {problem.rstrip('.')}: {line[:200]!r}"


def _all_attributes_once(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether every balance surely has each attribute once; three times faster than by row.

    A balance sets a bit an attribute; attributes above 255, of which there are none, set no bit.
    """
    bits = "1::UBIGINT << (attribute_id % 64)::UBIGINT"
    words = [f"bit_count(bit_or({bits}) FILTER (attribute_id // 64 = {k}))" for k in range(4)]
    found = connection.execute(f"""
        SELECT count(*) FROM (
            SELECT 1 FROM {table} GROUP BY {", ".join(BALANCE)}
            HAVING count(*) <> {" + ".join(f"coalesce({word}, 0)" for word in words)}
        )
    """).fetchone()
    return found == (0,)
