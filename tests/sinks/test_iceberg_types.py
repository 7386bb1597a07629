"""Types of columns: published values are read back unchanged, and filters find them."""

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fakes.iceberg_catalog import IcebergCatalog
from fakes.iceberg_readers import ENGINES, Readers
from fakes.iceberg_runs import Machine, Reader, run
from fakes.s3 import S3Server
from fakes.typed_tables import FILTERS, NESTED, TABLE, VALUES, cells, table_sql
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from materia_iceberg.tables.columns import Column, schema_for
from materia_iceberg.tables.export import exporting
from materia_iceberg.tables.schema import StructOf, highest_id, ids_of
from materia_iceberg.tables.statistics import bound
from pyiceberg.conversions import from_bytes
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    PrimitiveType,
    StringType,
    TimestampType,
)


def texts(sql: str) -> list[list[str | None]]:
    """The rows of the table as DuckDB shows them."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA serving")
        connection.execute(sql)
        found = connection.execute(
            "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM serving.types"
        ).fetchall()
    return sorted((list(row) for row in found), key=lambda row: [str(one) for one in row])


def test_the_hash_of_an_exported_file_is_that_of_its_table(tmp_path: Path) -> None:
    """For each type, with NULL, and in another order of the rows."""
    database = tmp_path / "materia.duckdb"
    names: list[str] = []
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA serving")
        for kind, values in VALUES.items():
            for order in (values, tuple(reversed(values))):
                names.append(f"serving.t{len(names)}")
                rows: list[list[str | None]] = [[None]]
                rows += [[value] for value in order]
                sql = table_sql([kind], rows)
                connection.execute(sql.replace(TABLE, names[-1]))
    with exporting(database, tmp_path) as export:
        found = []
        for name in names:
            columns = export.columns(name)
            of_table = export.content(name, columns, "")
            exported = export.write(name, columns, schema_for(columns))
            found.append((of_table, export.content(name, columns, "", of=exported)))
    kinds = list(VALUES)
    differing = [kinds[at // 2] for at, (table, file) in enumerate(found) if table != file]
    ordered = [kinds[at // 2] for at in range(0, len(found), 2) if found[at] != found[at + 1]]

    assert differing == []
    assert ordered == []
    assert len({content for (_, content), _ in found}) == len(kinds)


def test_an_enum_is_written_as_its_texts_with_the_bounds_of_its_texts(
    machine: Machine, reader: Reader
) -> None:
    """In the order of texts, not of the enum; none if every value is NULL."""
    long, high = "z" * 17, "\U00010000"
    kinds = ["ENUM('m', 'z', 'b', 'y')", f"ENUM('{high}', '\uffff', '{long}', '')", "ENUM('x')"]
    rows: list[list[str | None]] = [["z", long, None], ["b", high, None], ["m", None, None]]
    run(machine("one"), "1", table_sql(kinds, rows), TABLE)
    (file,) = reader.files(TABLE)

    assert file.value_counts[1] == 3
    assert file.lower_bounds == {1: b"b", 2: b""}
    assert file.upper_bounds == {1: b"z", 2: high.encode()}
    assert file.null_value_counts == {1: 0, 2: 1, 3: 3}
    assert reader.rows(TABLE, "SELECT typeof(c0), c0 FROM it ORDER BY c0") == [
        ("VARCHAR", "b"),
        ("VARCHAR", "m"),
        ("VARCHAR", "z"),
    ]


@pytest.fixture
def readers(s3_server: S3Server, catalog: IcebergCatalog) -> Iterator[Readers]:
    found = Readers(s3_server, catalog.uri)
    yield found
    found.close()


def test_values_of_each_type_are_read_back_and_filters_find_them(
    machine: Machine, readers: Readers
) -> None:
    """Also with DuckDB's extension and pyiceberg, which skip files by their bounds."""
    kinds = list(VALUES)
    longest = max(map(len, VALUES.values()))
    rows: list[list[str | None]] = [
        [VALUES[kind][at % len(VALUES[kind])] for kind in kinds] for at in range(longest)
    ]
    rows.append([None] * len(kinds))
    sql = table_sql(kinds, rows)
    run(machine("one"), "1", sql, TABLE)
    expected = texts(sql)
    for engine in ENGINES:
        found = readers.rows(engine, TABLE)
        if engine == "pyiceberg":  # version 0.12 returns a NULL list of structs as an empty list
            at = kinds.index(NESTED)
            expected = [[*row[:at], row[at] or "[]", *row[at + 1 :]] for row in expected]
        differing = [
            (kinds[at], [row[at] for row in found], [row[at] for row in expected])
            for at in range(len(kinds))
            if sorted(str(row[at]) for row in found) != sorted(str(row[at]) for row in expected)
        ]
        assert differing == [], engine


def test_filters_find_the_smallest_and_the_largest_value_of_each_type(
    machine: Machine, readers: Readers
) -> None:
    tables = {f"serving.f{at}": case for at, case in enumerate(FILTERS)}
    sql = "; ".join(
        table_sql([kind], [[value] for value in values]).replace(TABLE, name)
        for name, (kind, values, _) in tables.items()
    )
    run(machine("one"), "1", sql, *tables)
    missed = [
        (engine, case)
        for engine in ENGINES
        for name, case in tables.items()
        if len(readers.rows(engine, name, only=case[2])) != 1
    ]

    assert missed == []


TYPED: dict[str, PrimitiveType] = {
    "BOOLEAN": BooleanType(),
    "INTEGER": IntegerType(),
    "DOUBLE": DoubleType(),
    "DATE": DateType(),
    "TIMESTAMP": TimestampType(),
    "DECIMAL(18,3)": DecimalType(18, 3),
    "VARCHAR": StringType(),
}


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(st.lists(cells, min_size=1, max_size=40))
def test_any_rows_of_a_table_are_read_back(
    machine: Machine, catalog: IcebergCatalog, reader: Reader, found: list[tuple[str, str]]
) -> None:
    """Read by the specification; and no value is outside the bounds of its column."""
    kinds = sorted({kind for kind, _ in found})
    rows: list[list[str | None]] = [
        [value if kind == one else None for one in kinds] for kind, value in found
    ]
    sql = table_sql(kinds, rows)
    run(machine("one"), str(hash(sql)), sql, TABLE)
    shown = reader.rows(TABLE, "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM it")

    assert sorted(map(str, map(list, shown))) == sorted(map(str, texts(sql)))
    (file,) = reader.files(TABLE)
    metadata = catalog.metadata(TABLE)
    schemas = {one["schema-id"]: one["fields"] for one in metadata["schemas"]}
    ids = [field["id"] for field in schemas[metadata["current-schema-id"]]]
    assert file.record_count == len(rows)
    for at, kind in enumerate(kinds):
        values = [row[at] for row in reader.rows(TABLE)]
        assert file.null_value_counts[ids[at]] == values.count(None)
        within(file, ids[at], TYPED.get(kind), [one for one in values if one is not None])


def within(file: Any, number: int, kind: PrimitiveType | None, values: list[Any]) -> None:
    """Check that no value is below the lower or above the upper bound of its column."""
    if kind is None or number not in file.lower_bounds:
        return
    lower = from_bytes(kind, file.lower_bounds[number])
    upper = from_bytes(kind, file.upper_bounds[number])
    assert not any(isinstance(value, float) and math.isnan(value) for value in values)
    for value in map(comparable, values):
        if isinstance(value, str):
            assert str(lower).encode() <= value.encode() <= str(upper).encode()
        else:
            assert lower <= value <= upper


def comparable(value: Any) -> Any:
    """A value in the form of pyiceberg's bounds: days and microseconds since 1970."""
    if isinstance(value, dt.datetime):
        return (value - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)  # noqa: DTZ001 -- it has no zone
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).days
    return value


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
@example("\U0010ffff" * 20)
@example("x" * 15 + "\ud7ff" + "y")
def test_the_bounds_of_a_text_enclose_it_and_can_be_written(text: str) -> None:
    lower = bound("string", text, upper=False)
    upper = bound("string", text, upper=True)

    assert lower is not None
    assert lower <= text.encode()
    assert upper is None or upper >= text.encode()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("date", "0044-03-15 (BC)"),
        ("timestamp", "10000-01-01 00:00:00"),
        ("int", "many"),
        ("int", "2147483648"),
        ("boolean", "maybe"),
        ("uuid", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_an_unreadable_bound_is_none(kind: str, text: str) -> None:
    assert bound(kind, text, upper=True) is None


KINDS = (
    "INTEGER",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL(5,2)",
    "DECIMAL(9,2)",
    "VARCHAR",
    "INTEGER[]",
    "STRUCT(a INTEGER)",
    "MAP(VARCHAR, INTEGER)",
    "UUID",
)
FIELDS = dict.fromkeys(KINDS, 1) | {
    "INTEGER[]": 2,
    "STRUCT(a INTEGER)": 2,
    "MAP(VARCHAR, INTEGER)": 3,
}
WIDER = {("INTEGER", "BIGINT"), ("FLOAT", "DOUBLE"), ("DECIMAL(5,2)", "DECIMAL(9,2)")}
columns = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(KINDS), min_size=1)


@given(columns, columns)
def test_a_column_of_the_same_or_a_wider_type_keeps_its_id_and_no_id_is_used_twice(
    before: dict[str, str], after: dict[str, str]
) -> None:
    old = schema_for(columns_of(before))
    last = highest_id(old) + 3  # of columns that were dropped
    new = schema_for(columns_of(after), old, last)
    ids = {field.name: field.number for field in old}

    assert [field.name for field in new] == list(after)
    for field in new:
        was, now = before.get(field.name), after[field.name]
        if was is not None and (was == now or (was, now) in WIDER):
            assert field.number == ids[field.name]
        else:
            assert field.number > last
    assert len(set(ids_of(StructOf(new)))) == sum(map(FIELDS.__getitem__, after.values()))
    assert highest_id(new) <= last + 3 * len(after)


def columns_of(kinds: dict[str, str]) -> list[Column]:
    with duckdb.connect() as connection:
        query = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in kinds.items())
        described = connection.execute(f"SELECT {query}").description or []
    return [Column(name=one[0], kind=one[1]) for one in described]
