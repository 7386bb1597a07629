"""Hashes and statistics of exported tables: every change shows, and no bound hides a row."""

from pathlib import Path

import duckdb
import pytest
from materia_iceberg.tables.columns import schema_for
from materia_iceberg.tables.export import Exported, exporting

# Two rows that differ in a single value; DuckDB's own hash of most of them is the same.
CHANGES = [
    ("1 AS one, 2 AS price", "1 AS one, 3 AS price"),
    ("[0] AS l", "[0, 0] AS l"),
    ("[]::INTEGER[] AS l", "NULL::INTEGER[] AS l"),
    ("[NULL]::INTEGER[] AS l", "[]::INTEGER[] AS l"),
    ("['NULL'] AS l", "[NULL]::VARCHAR[] AS l"),
    ("['a', 'b'] AS l", "['a, b'] AS l"),
    ("[[1], [2]] AS l", "[[1, 2]] AS l"),
    ("{'a': NULL::INTEGER} AS s", "NULL::STRUCT(a INTEGER) AS s"),
    ("MAP {}::MAP(INTEGER, INTEGER) AS m", "NULL::MAP(INTEGER, INTEGER) AS m"),
    ("0 AS a, NULL::INTEGER AS b", "NULL::INTEGER AS a, 0 AS b"),
]


def made(folder: Path, *queries: str) -> Path:
    """A database with a table `serving.t0`, `serving.t1`, ... for each query."""
    database = folder / "materia.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA serving")
        for at, query in enumerate(queries):
            connection.execute(f"CREATE TABLE serving.t{at} AS {query}")
    return database


def exported(database: Path, folder: Path) -> Exported:
    with exporting(database, folder) as export:
        columns = export.columns("serving.t0")
        return export.write("serving.t0", columns, schema_for(columns))


def test_a_change_of_any_value_changes_the_hash_of_a_table_and_of_its_file(tmp_path: Path) -> None:
    database = made(tmp_path, *(f"SELECT {one}" for change in CHANGES for one in change))
    found = []
    with exporting(database, tmp_path) as export:
        for at in range(2 * len(CHANGES)):
            name = f"serving.t{at}"
            columns = export.columns(name)
            of_table = export.content(name, columns, "")
            file = export.write(name, columns, schema_for(columns))
            assert export.content(name, columns, "", of=file) == of_table
            found.append(of_table)
    hidden = [
        change
        for change, before, after in zip(CHANGES, found[::2], found[1::2], strict=True)
        if before == after
    ]

    assert hidden == []


def test_a_folder_named_like_a_partition_is_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "run=1"
    folder.mkdir()
    with exporting(made(folder, "SELECT 1 AS i"), folder) as export:
        columns = export.columns("serving.t0")
        file = export.write("serving.t0", columns, schema_for(columns))
        of_table = export.content("serving.t0", columns, "")

        assert export.content("serving.t0", columns, "", of=file) == of_table


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE"])
def test_a_column_with_nan_in_the_first_of_several_row_groups_has_no_bounds(
    tmp_path: Path, kind: str
) -> None:
    """DuckDB says `has_nan` of the last group; NaN is above 1e9, which a bound would hide."""
    value = f"if(range = 3, 'nan'::{kind}, range::{kind})"
    rows = f"SELECT {value} AS f, range AS i FROM range(130_000)"
    found = exported(made(tmp_path, rows), tmp_path).statistics

    assert found.lower.keys() == found.upper.keys() == {2}
    assert found.nulls == {1: 0, 2: 0}


def test_a_column_of_floating_point_numbers_in_one_row_group_has_bounds(tmp_path: Path) -> None:
    rows = "SELECT range * 0.5::DOUBLE AS f, range::FLOAT AS g FROM range(1000)"
    found = exported(made(tmp_path, rows), tmp_path).statistics

    assert found.lower.keys() == found.upper.keys() == {1, 2}
