"""Tables with columns of each type that a model may have, and conditions on them."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from fakes.shown import shown
from hypothesis import strategies as st
from materia.kit.sql import literal

TABLE = "serving.types"
NESTED = "STRUCT(t TINYINT[], m MAP(INTEGER, DECIMAL(4,1)))[]"
# Types of DuckDB, and texts of values for each.
VALUES: dict[str, tuple[str, ...]] = {
    "BOOLEAN": ("true", "false"),
    "TINYINT": ("-128", "127"),
    "SMALLINT": ("-32768", "32767"),
    "INTEGER": ("-2147483648", "0", "2147483647"),
    "BIGINT": ("-9223372036854775808", "9223372036854775807"),
    "UTINYINT": ("0", "255"),
    "USMALLINT": ("65535",),
    "UINTEGER": ("0", "4294967295"),
    "UBIGINT": ("0", "18446744073709551615"),
    "HUGEINT": ("-99999999999999999999999999999999999999", "1"),
    "FLOAT": ("-1.5", "0.1", "-0.0", "3.4e38", "inf"),
    "DOUBLE": ("1e-300", "-0.0", "0.1", "-1e300", "-inf"),  # a file has one kind of zero
    "DECIMAL(5,2)": ("-999.99", "0.01", "999.99"),
    "DECIMAL(18,4)": ("-1234.5678",),
    "DECIMAL(38,10)": ("-1234567890123456789012345678.0123456789", "0"),
    "DATE": ("0001-01-01", "1969-12-31", "9999-12-31"),
    "TIME": ("00:00:00", "23:59:59.999999"),
    "TIMESTAMP": ("0001-01-01 00:00:00", "1969-12-31 23:59:59.999999", "9999-12-31 00:00:00"),
    "TIMESTAMP_S": ("1970-01-01 00:00:01",),
    "TIMESTAMP_MS": ("2026-11-30 01:02:03.004",),
    "TIMESTAMP_NS": ("2026-11-30 01:02:03.000004",),
    "TIMESTAMPTZ": ("1969-12-31 23:59:59.5+00", "2026-06-30 12:00:00+00"),
    "VARCHAR": ("", "a", "ÄÖ", "x" * 40, "\U0010ffff" * 17, "it's", '"', "\ud7ff" * 20),
    "BLOB": ("", "ab", "\\x00\\xFF"),
    "UUID": ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    "ENUM('low', 'high')": ("low", "high"),
    "INTERVAL": ("1 month 2 days",),
    "BIT": ("0101",),
    "JSON": ('{"a": [1]}',),
    "INTEGER[]": ("[1, NULL, 3]", "[]"),
    "VARCHAR[2]": ("[a, b]",),
    "STRUCT(a TINYINT, b STRUCT(c DATE))": ("{'a': 1, 'b': {'c': 2026-01-01}}",),
    "MAP(VARCHAR, SMALLINT)": ("{k=1, l=NULL}", "{}"),
    NESTED: ("[{'t': [1], 'm': {1=2.5}}]",),
}


def table_sql(kinds: list[str], rows: list[list[str | None]]) -> str:
    """A table with a column of each type, and these rows."""
    columns = ", ".join(f"CAST(c{at} AS {kind}) AS c{at}" for at, kind in enumerate(kinds))
    names = ", ".join(f"c{at}" for at in range(len(kinds)))
    values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    return (
        f"CREATE OR REPLACE TABLE serving.types AS SELECT {columns} "
        f"FROM (VALUES {values}) AS t({names})"
    )


# As the sink stores them: a text, or a time in UTC.
STORED = {"INTERVAL": "{}::VARCHAR", "BIT": "{}::VARCHAR", "TIMESTAMPTZ": "{} AT TIME ZONE 'UTC'"}


def as_stored(sql: str, kinds: Sequence[str]) -> list[list[object]]:
    """The rows of that table as the sink stores them, in the form of `shown`."""
    columns = ", ".join(STORED.get(kind, "{}").format(f"c{at}") for at, kind in enumerate(kinds))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE SCHEMA serving; {sql}")
        found = connection.execute(f"SELECT {columns} FROM {TABLE}").fetchall()
    return [[shown(value) for value in row] for row in found]


# A type, some of its values, and a condition that one of them meets.
FILTERS = [
    ("BOOLEAN", ("true", "false"), "c0 = true"),
    ("BOOLEAN", ("true",), "c0 = true"),
    ("BOOLEAN", ("false",), "c0 = false"),
    ("INTEGER", ("-5", "7"), "c0 = -5"),
    ("BIGINT", ("9223372036854775807",), "c0 = 9223372036854775807"),
    ("DOUBLE", ("nan", "1.5"), "c0 = 1.5"),
    ("DOUBLE", ("-0.0",), "c0 = 0.0"),
    ("DOUBLE", ("0.0",), "c0 >= 0.0"),
    ("FLOAT", ("-1.5", "2.5"), "c0 > 2.0"),
    ("DECIMAL(9,2)", ("-1.25", "-1.24"), "c0 < -1.24"),
    ("DATE", ("1969-12-31",), "c0 = '1969-12-31'"),
    ("TIMESTAMP", ("1969-12-31 23:59:59.999999",), "c0 >= '1969-12-31T23:59:59.999999'"),
    ("VARCHAR", ("x" * 40,), f"c0 = '{'x' * 40}'"),
    ("VARCHAR", ("\U0010ffff" * 17,), f"c0 = '{chr(0x10FFFF) * 17}'"),
    ("VARCHAR", ("abcdefghijklmnop\ud7ff",), "c0 > 'abcdefghijklmnop'"),
    ("VARCHAR", ("abcdefghijklmno\ud7ffz",), "c0 > 'abcdefghijklmno'"),
    ("SMALLINT", ("-300",), "c0 = -300"),
    ("ENUM('low', 'high')", ("low", "high"), "c0 = 'low'"),
    ("ENUM('low', 'high')", ("low", "high"), "c0 < 'i'"),
    # Java orders texts by halves of these letters, unless a reader knows better.
    ("ENUM('\U00010000', '\uffff')", ("\U00010000", "\uffff"), "c0 = '\uffff'"),
    ("VARCHAR", ("\U00010000", "\uffff"), "c0 = '\U00010000'"),
    ("VARCHAR", ("\U00010000", "\uffff"), "c0 > '\uffff'"),
]


cells = st.one_of(
    [
        st.tuples(st.just("BOOLEAN"), st.sampled_from(["true", "false"])),
        st.tuples(st.just("BIGINT"), st.integers(-(2**63), 2**63 - 1).map(str)),
        st.tuples(st.just("INTEGER"), st.integers(-(2**31), 2**31 - 1).map(str)),
        st.tuples(st.just("DOUBLE"), st.floats().filter(bool).map(repr)),
        st.tuples(st.just("DATE"), st.dates().map(str)),
        st.tuples(st.just("TIMESTAMP"), st.datetimes().map(str)),
        st.tuples(
            st.just("DECIMAL(18,3)"),
            st.decimals(-(10**14), 10**14, places=3, allow_nan=False).map("{:f}".format),
        ),
        st.tuples(
            st.just("VARCHAR"),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
        ),
    ]
)
