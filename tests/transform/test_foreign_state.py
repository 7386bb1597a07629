"""A database from a machine or a bucket: what SQLMesh keeps in it is data, and is never run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from _pytest.mark import ParameterSet
from fakes.workshop import TESTS
from materia_runner.worker.sqlmesh.build import TransformReport, TransformRequest, transform

MODEL = "models/fct_line.sql"
Node = dict[str, Any]


class Built:
    """A database that was built once, and what may have become of it elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        shutil.copytree(TESTS / "fakes" / "folder_models", self.project)
        self.database = folder / "lines.duckdb"
        self.ran = folder / "ran"

    def begin(self) -> None:
        self.run("CREATE SCHEMA raw", "CREATE TABLE raw.lines (month DATE, name TEXT, value INT)")
        self.add(1)

    def run(self, *statements: str) -> None:
        with duckdb.connect(str(self.database)) as connection:
            for statement in statements:
                connection.execute(statement)

    def add(self, month: int) -> TransformReport:
        self.run(f"INSERT INTO raw.lines VALUES ('2024-{month:02}-01', 'apples', {month})")
        return transform(
            TransformRequest(
                database=self.database,
                projects=(self.project,),
                affected=(date(2024, month, 1),),
            )
        )

    def edit(self, old: str, new: str) -> None:
        model = self.project / MODEL
        model.write_text(model.read_text().replace(old, new))

    def poison(self, change: Callable[[Node], None]) -> None:
        with duckdb.connect(str(self.database)) as connection:
            rows = connection.execute(
                "SELECT name, identifier, snapshot FROM sqlmesh._snapshots WHERE kind_name = 'FULL'"
            ).fetchall()
            assert rows
            for name, identifier, text in rows:
                values = json.loads(text)
                change(values["node"])
                connection.execute(
                    "UPDATE sqlmesh._snapshots SET snapshot = ? WHERE name = ? AND identifier = ?",
                    [json.dumps(values), name, identifier],
                )

    def python(self) -> dict[str, Any]:
        """Code that leaves a mark when it is run."""
        code = f"def mark(evaluator):\n    open({str(self.ran)!r}, 'w').close()\n    return 1"
        return {"mark": {"payload": code, "kind": "definition", "name": "mark", "path": "x.py"}}

    def values(self) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute("SELECT value FROM serving.fct_line ORDER BY 1").fetchall()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Built:
    original = Built(tmp_path_factory.mktemp("built"))
    original.begin()
    return original


@pytest.fixture
def built(original: Built, tmp_path: Path) -> Built:
    """A copy of that database, and the project."""
    built = Built(tmp_path)
    shutil.copyfile(original.database, built.database)
    return built


def macro(built: Built, node: Node) -> None:
    node["python_env"] = built.python()
    node["query"] = {"sql": "SELECT month, name, @mark()::INTEGER AS value FROM raw.lines"}


def load_time(built: Built, node: Node) -> None:
    payload = f"open({str(built.ran)!r}, 'w')"
    node["python_env"] = {"mark": {"payload": payload, "kind": "import"}}
    node["query"] = {"sql": "SELECT month, name, @mark()::INTEGER AS value FROM raw.lines"}


def template(built: Built, node: Node) -> None:
    code = f"cycler.__init__.__globals__.os.mknod('{built.ran}')"
    text = f"{{{{ {code} }}}} month, name, value FROM raw.lines"
    node["query"] = {"sql": f"JINJA_QUERY_BEGIN;\nSELECT {text}\nJINJA_END;"}


def statement(built: Built, node: Node) -> None:
    node["pre_statements"] = [{"sql": f"COPY (SELECT 1) TO '{built.ran}'"}]


QUERY, COMMENT, NOTHING = "value::INTEGER AS value", "One row a line.", ""


@pytest.mark.parametrize(
    ("change", "edit"),
    [
        *((change, QUERY) for change in (macro, load_time, template)),
        pytest.param(statement, QUERY, marks=pytest.mark.campaign),
        (statement, NOTHING),
        pytest.param(macro, NOTHING, marks=pytest.mark.campaign),
        (macro, COMMENT),
    ],
)
def test_no_code_of_the_state_is_run(
    built: Built, change: Callable[[Built, Node], None], edit: str
) -> None:
    built.poison(lambda node: change(built, node))
    if edit:
        built.edit(edit, edit.replace("value::INTEGER", "(value + 0)::INTEGER") + " ")

    report = built.add(2)

    assert not built.ran.exists()
    assert report.models == 1
    assert built.values() == [(1,), (2,)]


def test_the_definition_of_a_model_that_is_gone_is_not_run(built: Built) -> None:
    built.poison(lambda node: macro(built, node))
    (built.project / MODEL).rename(built.project / "models" / "fct_other.sql")
    text = (built.project / "models" / "fct_other.sql").read_text()
    (built.project / "models" / "fct_other.sql").write_text(text.replace("fct_line", "fct_other"))

    assert built.add(2).tables == ("serving.fct_other",)
    assert not built.ran.exists()


def test_an_edit_that_is_taken_back_finds_its_table_again(built: Built) -> None:
    built.edit("value::INTEGER", "(value * 2)::INTEGER")
    built.add(2)
    built.edit("(value * 2)::INTEGER", "value::INTEGER")

    assert built.add(3).models == 1
    assert built.values() == [(1,), (2,), (3,)]


def in_a_campaign(statement: str) -> ParameterSet:
    """Another example of a kind that the normal run has."""
    return pytest.param(statement, marks=pytest.mark.campaign)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sqlmesh._snapshots SET snapshot = 'no JSON'",
        in_a_campaign("UPDATE sqlmesh._snapshots SET snapshot = '[]'"),
        in_a_campaign("UPDATE sqlmesh._snapshots SET snapshot = '{}'"),
        in_a_campaign("UPDATE sqlmesh._snapshots SET name = 'a\"\"b'"),
        in_a_campaign("DELETE FROM sqlmesh._snapshots"),
        "ALTER TABLE sqlmesh._snapshots DROP COLUMN unrestorable",
        "UPDATE sqlmesh._environments SET snapshots = '{'",
        in_a_campaign("DROP TABLE sqlmesh._environments"),
        "DROP TABLE sqlmesh._snapshots",
        (
            "ALTER TABLE sqlmesh._snapshots RENAME TO others; "
            "CREATE VIEW sqlmesh._snapshots AS FROM sqlmesh.others WHERE random() < 0.5"
        ),
        in_a_campaign("DROP TABLE sqlmesh._intervals"),
        in_a_campaign("UPDATE sqlmesh._intervals SET start_ts = NULL"),
        "ALTER TABLE sqlmesh._versions ALTER schema_version TYPE TEXT USING 'x'",
        in_a_campaign("ALTER TABLE sqlmesh._versions DROP COLUMN sqlmesh_version"),
        in_a_campaign("UPDATE sqlmesh._versions SET sqlmesh_version = NULL"),
        in_a_campaign("DELETE FROM sqlmesh._versions"),
        in_a_campaign("DROP TABLE sqlmesh._versions"),
    ],
)
def test_a_state_of_no_use_is_built_anew(built: Built, statement: str) -> None:
    built.run(statement)

    built.add(2)

    assert built.values() == [(1,), (2,)]
    assert built.add(3).models == 1
