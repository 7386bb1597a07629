"""Spark reads what the sink iceberg publishes: each type, with filters that skip files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from fakes.iceberg_catalog import IcebergCatalog, Lending
from fakes.iceberg_readers import Readers
from fakes.iceberg_runs import Machine, run
from fakes.published_sample import MONTHS, as_of_query, publish_sample
from fakes.s3 import S3Server
from fakes.shown import shown
from fakes.spark_parts import jars
from fakes.spark_reader import SparkReader
from fakes.typed_tables import FILTERS, TABLE, VALUES, as_stored, cells, table_sql
from fakes.workshop import Workshop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from materia.kit.sql import literal

PAGE = Path(__file__).resolve().parents[2] / "docs/iceberg.md"
Cell = tuple[str, str]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkReader]:
    """One Spark for all tests here: it takes ten seconds to start."""
    found = SparkReader(tmp_path_factory.mktemp("spark"))
    yield found
    found.close()


@pytest.fixture
def readers(s3_server: S3Server, catalog: IcebergCatalog) -> Iterator[Readers]:
    found = Readers(s3_server, catalog.uri)
    yield found
    found.close()


@dataclass(frozen=True, slots=True)
class Condition:
    """A column compared with a value of its type, or with NULL where there is none."""

    column: str
    kind: str
    operator: str
    text: str | None

    @property
    def sql(self) -> str:
        if self.text is None:
            return f"{self.column} IS NULL"
        return f"{self.column} {self.operator} CAST({literal(self.text)} AS {self.kind})"

    @property
    def spark(self) -> str:
        """A literal of the column's own type: one that had to be cast would skip no file."""
        if self.text is None:
            return self.sql
        kind = {"TIMESTAMP": "TIMESTAMP_NTZ", "VARCHAR": "STRING"}.get(self.kind, self.kind)
        text = f"CAST(X'{self.text.encode().hex()}' AS STRING)"
        return f"{self.column} {self.operator} CAST({text} AS {kind})"

    @property
    def pyiceberg(self) -> list[str | None]:
        text = self.text.replace(" ", "T") if self.text and self.kind == "TIMESTAMP" else self.text
        return [self.column, self.kind, self.operator, text]


def conditions(kinds: list[str], found: list[Cell]) -> list[Condition]:
    """For each column: equal to its first value, smaller than its last one, NULL."""
    made = []
    for at, kind in enumerate(kinds):
        texts = [text for one, text in found if one == kind and text != "nan"]
        made.append(Condition(f"c{at}", kind, "=", None))
        if texts:
            made.append(Condition(f"c{at}", kind, "=", texts[0]))
            if kind != "BOOLEAN":
                made.append(Condition(f"c{at}", kind, "<", texts[-1]))
    return made


def in_order(rows: Sequence[object]) -> list[str]:
    return sorted(map(str, rows))


def test_values_of_each_type_are_read_by_spark_and_filters_find_them(
    s3_server: S3Server, catalog: IcebergCatalog, machine: Machine, spark: SparkReader
) -> None:
    """All but TIME, which Spark has no type for; what Iceberg stores as text is one."""
    kinds = [kind for kind in VALUES if kind != "TIME"]
    longest = max(map(len, VALUES.values()))
    rows: list[list[str | None]] = [
        [VALUES[kind][at % len(VALUES[kind])] for kind in kinds] for at in range(longest)
    ]
    rows.append([None] * len(kinds))
    sql = table_sql(kinds, rows)
    tables = {f"serving.f{at}": case for at, case in enumerate(FILTERS)}
    filtered = "; ".join(
        table_sql([kind], [[value] for value in values]).replace(TABLE, name)
        for name, (kind, values, _) in tables.items()
    )
    empty = "CREATE TABLE serving.empty AS SELECT 1 AS c0 WHERE false"
    run(machine("one"), "1", f"{sql}; {filtered}; {empty}", TABLE, *tables, "serving.empty")
    lake = spark.catalog(s3_server, catalog.uri)
    found = spark.rows(f"SELECT * FROM {lake}.{TABLE}")
    counts = spark.rows(
        " UNION ALL ".join(
            f"SELECT '{name}', count(*) FROM {lake}.{name} WHERE {only}"
            for name, (_, _, only) in tables.items()
        )
    )
    expected = as_stored(sql, kinds)
    differing = [
        (kinds[at], [row[at] for row in found], [row[at] for row in expected])
        for at in range(len(kinds))
        if in_order([row[at] for row in found]) != in_order([row[at] for row in expected])
    ]

    assert differing == []
    assert [name for name, count in counts if count != "1"] == []
    assert len(counts) == len(tables)
    assert spark.rows(f"SELECT count(*) FROM {lake}.serving.empty WHERE c0 IS NULL") == [["0"]]


@pytest.mark.campaign
@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(st.lists(cells, min_size=1, max_size=40))
@example([("DOUBLE", "nan"), ("DOUBLE", "-1.5"), ("DOUBLE", "-inf")])
@example([("VARCHAR", "x" * 40), ("VARCHAR", "x" * 16), ("VARCHAR", "\U0010ffff" * 17)])
@example([("TIMESTAMP", "1969-12-31 23:59:59.999999"), ("DATE", "0001-01-01")])
@example([("DECIMAL(18,3)", "-0.001"), ("DECIMAL(18,3)", "-99999999999999.999")])
def test_any_rows_are_found_by_three_engines_with_the_same_conditions(  # noqa: PLR0917 -- of fixtures
    s3_server: S3Server,
    catalog: IcebergCatalog,
    machine: Machine,
    readers: Readers,
    spark: SparkReader,
    found: list[Cell],
) -> None:
    kinds = sorted({kind for kind, _ in found})
    rows: list[list[str | None]] = [
        [value if kind == one else None for one in kinds] for kind, value in found
    ]
    sql = table_sql(kinds, rows)
    run(machine("one"), str(hash(sql)), sql, TABLE)
    lake = spark.catalog(s3_server, catalog.uri)
    asked = conditions(kinds, found)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE SCHEMA serving; {sql}")
        expected = [
            connection.sql(f"FROM {TABLE} WHERE {one.sql}").count("*").fetchall()[0][0]
            for one in asked
        ]
    counted = spark.rows(
        " UNION ALL ".join(
            f"SELECT {at}, count(*) FROM {lake}.{TABLE} WHERE {one.spark}"
            for at, one in enumerate(asked)
        )
    )

    assert in_order(spark.rows(f"SELECT * FROM {lake}.{TABLE}")) == in_order(as_stored(sql, kinds))
    assert [int(count) for _, count in sorted(counted, key=lambda row: int(row[0]))] == expected
    for one, count in zip(asked, expected, strict=True):
        assert len(readers.rows("duckdb", TABLE, only=one.sql)) == count, one
        assert len(readers.matching(TABLE, one.pyiceberg)) == count, one


def test_the_example_of_the_page_reads_with_vended_credentials(
    catalog: IcebergCatalog, machine: Machine, spark: SparkReader
) -> None:
    some = "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS price FROM range({})"
    run(machine("one"), "run 1", some.format(7), "serving.prices")
    first = catalog.metadata("serving.prices")["current-snapshot-id"]
    run(machine("one"), "run 2", some.format(2), "serving.prices")
    catalog.lending = Lending()  # as R2 does
    text = PAGE.read_text(encoding="utf-8").partition("### Spark")[2].partition("###")[0]
    quoted = dict(re.findall(r'f"{LAKE}\.(.+)": "(.+)"', text))
    replaced = {"uri": catalog.uri, "warehouse": "lake", "s3.path-style-access": "true"}
    lake = spark.catalog_with({**quoted, **replaced})
    versions, prices, older = (
        spark.rows(sql.replace("lake.", f"{lake}.").replace("123", str(first)))
        for sql in re.findall(r'"(SELECT .+)"', text)
    )

    assert set(quoted) > {"uri", "warehouse", "token", "type"}
    assert [row[:2] for row in versions] == [["serving.prices", "2"]]
    assert prices == [["0"], ["1"]]
    assert len(older) == 7
    assert catalog.lending.count > 0
    found = [jar.replace(":", "-") + ".jar" for jar in re.findall(r'org\.apache\.\w+:(.+)"', text)]
    assert found == [Path(jar).name for jar in jars() if "iceberg-" in Path(jar).name]


@pytest.mark.campaign
def test_spark_reads_each_release_from_the_published_raw_history(
    s3_server: S3Server,
    catalog: IcebergCatalog,
    machine: Machine,
    spark: SparkReader,
    sample_run: Workshop,
) -> None:
    publish_sample(sample_run, machine, raw_only=True)
    lake = spark.catalog(s3_server, catalog.uri)
    database = sample_run.directory / "materia.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        for month in MONTHS:
            release = connection.execute(f"FROM as_of('{month}')").fetchall()
            found = spark.rows(as_of_query(month, lake))
            assert len(found) > 100
            assert in_order(found) == in_order([[shown(one) for one in row] for row in release])
