"""`materia report` as a command: its file, its report queries and what it cannot read."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from fakes.html_page import parsed, table_of
from fakes.rows import MINUTE, NOON, machine_row, run_row, write_machine
from fakes.workshop import Workshop
from materia_runner.ledger.state import State
from materia_runner.tables.catalog import (
    read_catalog,
)
from materia_runner.tables.database import opened
from materia_runner.tables.report_queries import ReportQuery, answered, report_queries
from materia_runner.worker.sqlmesh.fingerprint import project_files


@pytest.fixture
def asked(desk: Workshop) -> Workshop:
    """A workshop with a project that has a good and a broken report query, and one run."""
    desk.write("materia.toml", 'source = "folder"\nsink = "folder"\ntransform.project = "models"\n')
    good = "-- Crops\n-- All of them.\nSELECT code, [1, 2.5] AS path FROM serving.fct_crop\n"
    desk.write("models/report/a_crops.sql", good)
    desk.write("models/report/b_broken.sql", "FROM serving.no_such_table")
    desk.write("models/report/c_reaching.sql", "FROM serving.spy")
    here, host = str(desk.directory), socket.gethostname()
    runs = [
        ("one", here, host, "folder"),
        ("copied", "/srv/p", "far", "folder"),
        ("elsewhere", "/other", host, "folder"),
        ("another", here, host, "beans"),
    ]
    with State(desk.home / ".local/state/materia").ledger() as ledger:
        for place, (run, directory, computer, source) in enumerate(runs):
            at = NOON + place * MINUTE
            row = replace(run_row(run, at=at), directory=directory, host=computer, source=source)
            ledger.begin_run(row)
            write_machine(ledger, machine_row(f"m-{run}", run=run, at=at), lengths=(MINUTE,))
            ledger.end_run(run, "ok", at=at + MINUTE)
    return desk


def test_the_command_writes_one_page_of_runs_tables_and_answers(asked: Workshop) -> None:
    done = asked.run("report")
    again = asked.run("report", "other.html", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("materia-report.html: ")
    assert done.stdout.endswith(" kB written, with 2 runs, 3 tables and 3 queries\n")
    assert json.loads(again.stdout) == {
        "file": str(asked.directory / "other.html"),
        "bytes": (asked.directory / "other.html").stat().st_size,
        "runs": 2,
        "tables": 3,
        "queries": 3,
    }
    text = (asked.directory / "materia-report.html").read_text(encoding="utf-8")
    tree = parsed(text)
    assert [row[0] for row in table_of(tree, "Crops")] == ["0410000", "0440000"]
    assert "b_broken.sql: the query failed: Catalog Error" in tree.text
    assert "c_reaching.sql: a query reads published tables only" in tree.text
    assert "hunter2" not in text
    rows = table_of(tree, "Published tables and views")
    assert ["serving.large", "table", "50"] in [row[:3] for row in rows]
    assert "not counted" in [row[2] for row in rows if row[0] == "serving.spy"]


def test_the_page_has_the_runs_of_its_own_pipeline_alone(asked: Workshop) -> None:
    asked.run("report", "--config", "materia.toml")

    tree = parsed((asked.directory / "materia-report.html").read_text(encoding="utf-8"))
    rows = table_of(tree, "Runs of this pipeline in the ledger, newest first")
    assert [row[4] for row in rows] == ["far", socket.gethostname()]
    assert "Last run2026-11-24 12:01: ok" in tree.text.replace("\n", "")
    assert "2 runs of other folders or pipelines are in the ledger: materia runs." in tree.text
    [cost] = table_of(tree, "Cost by month")
    assert cost[3] == "0.0013 EUR"  # of two machines, 3 minutes each


def test_without_runs_and_tables_the_page_says_so(folders: Workshop) -> None:
    done = folders.run("report")

    assert (done.returncode, done.stderr) == (0, "")
    words = parsed((folders.directory / "materia-report.html").read_text()).text
    assert "There are no runs yet." in words
    assert "Nothing is published yet; run materia run." in words
    assert "Nothing was rented yet." in words
    assert not (folders.home / ".local").exists()


@pytest.mark.parametrize(
    ("file", "said"), [("no/such.html", "no such folder"), ("in", "is a folder")]
)
def test_a_file_that_cannot_be_written_is_named(folders: Workshop, file: str, said: str) -> None:
    done = folders.run("report", file)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert sorted(path.name for path in folders.directory.iterdir()) == ["in", "materia.toml"]


def test_an_old_page_stays_when_a_new_one_cannot_be_made(asked: Workshop) -> None:
    asked.write("materia-report.html", "old")
    asked.write("models/report/a_crops.sql", "")
    (asked.directory / "models/report/a_crops.sql").write_bytes(b"-- \xff\xfe")

    done = asked.run("report")

    assert done.returncode == 2
    assert "a_crops.sql: cannot be read as a text in UTF-8" in done.stderr
    assert (asked.directory / "materia-report.html").read_text() == "old"


def test_a_query_file_begins_with_its_title_and_what_explains_it(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report/with.sql").write_text("-- Title\n-- one\n-- two\nSELECT 1 -- no\n")
    (tmp_path / "report/without_any.sql").write_text("SELECT 1\n-- later\n")

    first, second = report_queries([tmp_path, tmp_path / "missing"])

    assert (first.title, first.explanation) == ("Title", "one two")
    assert (second.title, second.explanation) == ("without any", "")


def test_a_report_query_is_no_model(tmp_path: Path) -> None:
    for path in ("report/a.sql", "models/report/a.sql", "models/a.sql"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("SELECT 1")

    found = [str(path.relative_to(tmp_path)) for path in project_files(tmp_path)]

    assert found == ["models/a.sql", "models/report/a.sql"]


def test_a_value_that_python_cannot_hold_is_a_problem_of_its_query_alone(database: Path) -> None:
    sql = "SELECT INTERVAL 9999999 YEAR AS age"
    query = ReportQuery(file="q.sql", title="t", explanation="", sql=sql)
    with opened(database) as connection:
        answer = answered(connection, query)

    assert "a value of the query cannot be shown" in str(answer.problem)


def test_an_answer_has_at_most_250_rows(database: Path) -> None:
    query = ReportQuery(file="q.sql", title="t", explanation="", sql="FROM range(1000)")
    with opened(database) as connection:
        answer = answered(connection, query)

    assert len(answer.rows) == 250
    assert answer.is_cut


def test_a_state_that_cannot_be_read_is_no_lineage(tmp_path: Path) -> None:
    path = tmp_path / "odd.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA sqlmesh")
        connection.execute(
            "CREATE TABLE sqlmesh._environments AS SELECT 'prod' AS name, '[' AS snapshots"
        )
        connection.execute("CREATE TABLE sqlmesh._snapshots AS SELECT '{}' AS snapshot")
        connection.execute("CREATE TABLE mine (code TEXT)")
        connection.execute("COMMENT ON COLUMN mine.code IS 'seven digits'")
    with opened(path) as connection:
        found = read_catalog(connection)

    assert found.models is None
    assert [(one.name, one.rows) for one in found.tables] == [("main.mine", 0)]
    assert found.tables[0].columns[0].comment == "seven digits"
    assert (found.run, found.published_at) == ("", None)
