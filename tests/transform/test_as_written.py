"""Which models reach DuckDB as they are written, and which SQLMesh rewrites first."""

from __future__ import annotations

from typing import Any
from warnings import catch_warnings

import pytest
from sqlglot import parse_one

# What SQLMesh's libraries have to say to its developers, on every import.
with catch_warnings(action="ignore"):
    from materia_sqlmesh.as_written import as_written
    from sqlmesh.core.model import create_sql_model

COLUMNS = {"total": "INT"}
QUERY = "SELECT SUM(number) AS total FROM (SELECT * FROM raw.number)"


def setting(query: str, **options: Any) -> bool | None:
    options = {"dialect": "duckdb", "columns": COLUMNS, **options}
    model = create_sql_model("serving.sum", parse_one(query, dialect="duckdb"), **options)
    return as_written({"it": model})["it"].optimize_query


def test_a_query_whose_columns_are_declared_is_not_rewritten() -> None:
    assert setting(QUERY) is False


@pytest.mark.parametrize(
    ("query", "options"),
    [
        (QUERY, {"columns": None}),
        ("SELECT * FROM raw.number", {}),
        (QUERY, {"dialect": "postgres"}),
        ("SELECT total + 1 AS total FROM serving.sum", {}),
    ],
    ids=["no columns are declared", "SELECT *", "another dialect", "the table itself is read"],
)
def test_a_query_that_needs_the_optimizer_keeps_it(query: str, options: dict[str, Any]) -> None:
    assert setting(query, **options) is None


def test_the_setting_of_a_model_wins() -> None:
    assert setting(QUERY, optimize_query=True) is True
