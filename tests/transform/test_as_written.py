"""Which models reach DuckDB as they are written, and which SQLMesh rewrites first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import duckdb
import materia_psdonline
import pytest
from fakes.releases import Releases
from materia_runner.worker.sqlmesh.build import TransformRequest, transform
from sqlglot import parse_one

# What SQLMesh's libraries have to say to its developers, on every import.
with catch_warnings(action="ignore"):
    from materia_sqlmesh.as_written import as_written
    from materia_sqlmesh.config import build_config, connection
    from sqlmesh import Context
    from sqlmesh.core.config import GatewayConfig
    from sqlmesh.core.lineage import column_dependencies
    from sqlmesh.core.model import SqlModel, create_sql_model

SAMPLE = Path(materia_psdonline.__file__).parent / "sample"
Projects = tuple[Path, Path]
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


# Queries in which a name could mean something else once SQLMesh has put another table in place.
NAMES = {
    "the name of a table before a column": "SELECT up.number AS total FROM serving.up",
    "that of a schema, too": "SELECT serving.up.number AS total FROM serving.up",
    "capitals": "SELECT NUMBER AS Total FROM Serving.UP",
    "a CTE called like a table": (
        "WITH up AS (SELECT number * 2 AS number FROM serving.up) SELECT number AS total FROM up"
    ),
    "an alias called like a column": (
        "SELECT number + 1 AS total FROM (SELECT number, 7 AS total FROM serving.up) "
        "WHERE total = 7"
    ),
    "a union": "SELECT number AS total FROM serving.up UNION ALL SELECT up.number FROM serving.up",
    "a join by name": "SELECT number AS total FROM serving.up NATURAL JOIN raw.number",
    "a row as a value": "SELECT LENGTH(up::TEXT) AS total FROM serving.up",
    "a star below": "SELECT number AS total FROM (SELECT * FROM serving.up)",
}


def test_names_mean_the_same_with_and_without_the_optimizer(tmp_path: Path) -> None:
    (tmp_path / "project/models").mkdir(parents=True)
    (tmp_path / "project/external_models.yaml").write_text(
        "- name: raw.number\n  columns: {number: INT}\n"
    )
    models = {"up": ("", "SELECT number FROM raw.number")}
    for place, query in enumerate(NAMES.values()):
        models[f"written_{place}"] = ("", query)
        models[f"optimized_{place}"] = (", optimize_query true", query)
    for name, (setting, query) in models.items():
        column = "number" if name == "up" else "total"
        (tmp_path / f"project/models/{name}.sql").write_text(
            f"MODEL (name serving.{name}, kind FULL{setting}, columns ({column} INT));\n{query}\n"
        )
    database = tmp_path / "working copy.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA raw")
        connection.execute("CREATE TABLE raw.number AS SELECT range::INT AS number FROM range(3)")

    transform(TransformRequest(database=database, projects=(tmp_path / "project",)))

    with duckdb.connect(str(database)) as connection:
        written, expected = (
            {
                case: connection.execute(f"FROM serving.{kind}_{place} ORDER BY ALL").fetchall()
                for place, case in enumerate(NAMES)
            }
            for kind in ("written", "optimized")
        )
    assert all(written.values())
    assert written == expected


def optimized(projects: Projects) -> None:
    """Have SQLMesh rewrite every query of the projects."""
    for path in (path for project in projects for path in project.rglob("models/**/*.sql")):
        text = path.read_text()
        if "kind SEED" not in text:
            path.write_text(re.sub(r"MODEL \(", "MODEL (optimize_query true,", text, count=1))


def sql_models(projects: Projects) -> Iterator[tuple[Context, SqlModel]]:
    config = build_config(
        {"memory": GatewayConfig(connection=connection(None))},
        default_gateway="memory",
        beside=projects[1:],
        with_tests=False,
    )
    context = Context(paths=[str(projects[0])], config=config)
    for model in context.models.values():
        if isinstance(model, SqlModel):
            yield context, model


def contents(releases: Releases, projects: Projects) -> dict[str, object]:
    """What the sample becomes: columns with their types, and rows, by table."""
    for path in sorted(SAMPLE.glob("20*/*/*.zip")):
        year, month = path.parts[-3:-1]
        releases.keep(f"{year}-{month}", path.read_bytes())
    affected = releases.load().affected
    request = TransformRequest(database=releases.database, projects=projects, affected=affected)
    return {
        name: (releases.ask(f"DESCRIBE {name}"), releases.ask(f"FROM {name} ORDER BY ALL"))
        for name in transform(request).tables
    }


@pytest.mark.campaign
def test_the_tables_of_the_sample_are_those_that_the_optimizer_gives(
    own_projects: Projects, projects: Projects, releases: Releases, tmp_path: Path
) -> None:
    optimized(own_projects)
    (tmp_path / "optimized").mkdir()

    written = contents(releases, projects)

    assert releases.ask("FROM serving.fct_balance LIMIT 1")
    assert written == contents(Releases(tmp_path / "optimized"), own_projects)


@pytest.mark.campaign
def test_the_lineage_of_columns_is_that_which_the_optimizer_gives(
    own_projects: Projects, projects: Projects
) -> None:
    optimized(own_projects)
    found = []
    for folders in (projects, own_projects):
        settings = set()
        lineage = {}
        for context, model in sql_models(folders):
            settings.add(model.optimize_query)
            for column in model.columns_to_types_or_raise:
                lineage[model.name, column] = column_dependencies(context, model.name, column)
        found.append((settings, lineage))

    (as_it_is, written), (rewritten, expected) = found
    assert False in as_it_is
    assert rewritten == {True}
    assert any(written.values())
    assert written == expected
