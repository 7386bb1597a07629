"""The models are SQL that DuckDB and Spark read alike: docs/spark.md."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from fakes.portable import only_duckdb

ROOT = Path(__file__).parents[2]
PROJECTS = (
    ROOT / "transform/sqlmesh_materia",
    ROOT / "plugins/sources/psdonline/src/materia_psdonline/models",
)
FILES = sorted(
    path
    for project in PROJECTS
    for folder in ("models", "audits")
    for path in (project / folder).rglob("*.sql")
)
WHOLE = r"^    (\w+) (?:TINYINT|SMALLINT|INT|INTEGER|BIGINT),?$"
# The seeds with columns of whole numbers.
SEEDS = [
    path
    for path in FILES
    if "kind SEED" in path.read_text() and re.search(WHOLE, path.read_text(), re.MULTILINE)
]
BAD = {
    "an index of a list or a map": "SELECT cells[4] AS area FROM balance",
    "a map": "SELECT MAP_FROM_ENTRIES(ARRAY_AGG((a, b))) AS cells FROM t",
    "BY NAME": "SELECT a FROM t UNION ALL BY NAME SELECT a FROM u",
    "SIMILAR TO": "SELECT a SIMILAR TO '(1|2).*' AS is_one FROM t",
    "GLOB": "SELECT a GLOB '1*' AS is_one FROM t",
    "a named WINDOW": "SELECT LAG(a) OVER w AS before FROM t WINDOW w AS (ORDER BY a)",
    "* EXCLUDE, REPLACE or RENAME": "SELECT * EXCLUDE (a) FROM t",
    "COLUMNS": "SELECT COLUMNS('a.*') FROM t",
    "PIVOT": "PIVOT t ON a USING SUM(b)",
    "a list comprehension or a lambda": "SELECT LIST_TRANSFORM(a, x -> x + 1) AS b FROM t",
    "an ASOF or POSITIONAL join": "SELECT t.a FROM t ASOF JOIN u ON t.a >= u.a",
    "ORDER BY ALL": "SELECT a FROM t ORDER BY ALL",
    "a type": "SELECT a::HUGEINT AS a FROM t",
    "a function that sqlglot does not know": "SELECT LIST_POSITION(a, 1) AS b FROM t",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_model_or_audit_has_nothing_that_only_duckdb_knows(path: Path) -> None:
    assert only_duckdb(path.read_text()) == []


@pytest.mark.parametrize(("name", "query"), BAD.items(), ids=BAD)
def test_what_only_duckdb_knows_is_found_in_a_model(name: str, query: str) -> None:
    model = f"MODEL (name serving.bad, kind VIEW);\n\n{query}"

    assert any(found.startswith(f"{name}: ") for found in only_duckdb(model)), only_duckdb(model)


def test_a_type_that_only_duckdb_knows_is_found_among_the_columns_of_a_model() -> None:
    model = "MODEL (name serving.bad, kind VIEW, columns (a HUGEINT));\n\nSELECT 1 AS a"

    assert only_duckdb(model) == ["a type: INT128"]


DECIMALS = {
    "a difference": ("VIEW", "SELECT CASE WHEN c > 0 THEN b - c END AS a, b FROM t", ["a"]),
    "a sum": ("VIEW", "SELECT SUM(b) AS a FROM t UNION ALL SELECT b + 1 AS a FROM t", ["a"]),
    "a cast": ("VIEW", "SELECT (b - c)::DECIMAL(38, 4) AS a, b + c AS d FROM t", []),
    "a union with a longer one": (
        "VIEW",
        "SELECT SUM(b) AS a FROM t UNION ALL SELECT a FROM u",
        [],
    ),
    "a table": ("FULL", "SELECT b - c AS a FROM t", []),
}


@pytest.mark.parametrize(("kind", "query", "found"), DECIMALS.values(), ids=DECIMALS)
def test_a_decimal_that_a_view_computes_must_be_cast(
    kind: str, query: str, found: list[str]
) -> None:
    columns = "a DECIMAL(38, 4), b DECIMAL(18, 4), d DOUBLE"
    model = f"MODEL (name serving.some, kind {kind}, columns ({columns}));\n\n{query}"

    assert only_duckdb(model) == [f"a computed DECIMAL: {name}" for name in found]


def test_a_file_has_no_decimal() -> None:
    kind = "kind SEED (path 'a.csv')"
    model = f"MODEL (name raw.bad, {kind}, columns (a DECIMAL(18, 8), b DOUBLE))"

    assert only_duckdb(model) == ["a DECIMAL of a file: a"]


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_a_whole_number_of_a_seed_is_never_missing(path: Path) -> None:
    text = path.read_text()
    [file] = re.findall(r"path '(.+)'", text)
    whole = re.findall(WHOLE, text, re.MULTILINE)
    with (path.parent / file).open(newline="") as lines:
        rows = list(csv.DictReader(lines))

    assert {"country_member", "marketing_year"} == {seed.stem for seed in SEEDS}
    assert whole
    assert [row for row in rows if not all(row[name] for name in whole)] == []
