"""`materia query`: what it prints, and what it refuses."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.workshop import Workshop


def test_a_query_prints_a_table_that_fits_the_terminal(desk: Workshop) -> None:
    for width in (40, 80, 200):
        done = desk.run(
            "query", "FROM serving.fct_crop, serving.large", environment={"COLUMNS": str(width)}
        )

        assert done.returncode == 0, done.stderr
        assert max(map(len, done.stdout.splitlines())) <= width
        assert "0410000" in done.stdout
        assert "100 rows" in done.stdout


def test_a_table_has_as_many_rows_as_asked_for(desk: Workshop) -> None:
    all_rows = desk.run("query", "FROM serving.large", "--rows", "50").stdout
    few = desk.run("query", "FROM serving.large", "--rows", "4").stdout

    assert len(all_rows.splitlines()) > 50
    assert "(4 shown)" in few
    assert desk.run("query", "FROM serving.large", "--rows", "0").returncode == 2


def test_json_has_every_digit_and_no_value_that_json_lacks(desk: Workshop) -> None:
    done = desk.run("query", "FROM serving.fct_crop", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {
            "code": "0410000",
            "tonnes": 12.5,
            "day_of_sale": "2025-05-01",
            "remark": 'a,"b"',
            "share": 1.5,
        },
        {
            "code": "0440000",
            "tonnes": 99999999999999.99,
            "day_of_sale": None,
            "remark": "=1+1",
            "share": None,
        },
    ]
    large = desk.run("query", "SELECT 123456789012345678901234.5678::DECIMAL(38,4) AS n", "--json")
    assert '"n":123456789012345678901234.5678' in large.stdout
    assert json.loads(desk.run("query", "FROM serving.large LIMIT 0", "--json").stdout) == []


def test_a_number_keeps_its_digits_beside_one_that_json_lacks(desk: Workshop) -> None:
    sql = "SELECT 1234567890123456.78::DECIMAL(18,2) AS n, 'NaN'::DOUBLE AS x, 'a \"NaN\"' AS t"

    done = desk.run("query", sql, "--json")

    assert '"n":1234567890123456.78' in done.stdout
    assert json.loads(done.stdout) == [{"n": 1234567890123456.78, "x": None, "t": 'a "NaN"'}]


COMMENTED = "-- how many?\nSELECT 1 AS n"


@pytest.mark.parametrize(
    "words",
    [
        (COMMENTED, "--csv"),
        ("--csv", "--how many?\nSELECT 1 AS n"),
        ("--csv", "--", COMMENTED),
        ("--csv", "/* - */ SELECT 1 AS n"),
    ],
)
def test_a_query_may_begin_with_a_comment(desk: Workshop, words: tuple[str, ...]) -> None:
    done = desk.run("query", *words)

    assert done.stdout == "n\n1\n", done.stderr


def test_an_option_with_a_typo_is_no_query(desk: Workshop) -> None:
    done = desk.run("query", "--cvs", "SELECT 1")

    assert done.returncode == 2
    assert "No such option: --cvs" in done.stderr


def test_nested_values_are_json_in_csv(desk: Workshop) -> None:
    sql = (
        "SELECT {'a': 1, 'b': [1, NULL]} AS s, MAP{'k': DATE '2024-01-01'} AS m, true AS t, "
        "170141183460469231731687303715884105727::HUGEINT AS h, NULL AS n"
    )

    done = desk.run("query", sql, "--csv")

    assert list(csv.reader(done.stdout.splitlines()))[1] == [
        *('{"a": 1, "b": [1, null]}', '{"k": "2024-01-01"}', "true"),
        *("170141183460469231731687303715884105727", ""),
    ]


def test_csv_has_all_rows_and_a_header(desk: Workshop) -> None:
    done = desk.run("query", "SELECT * EXCLUDE share FROM serving.fct_crop", "--csv")

    assert done.returncode == 0, done.stderr
    assert list(csv.reader(done.stdout.splitlines())) == [
        ["code", "tonnes", "day_of_sale", "remark"],
        ["0410000", "12.50", "2025-05-01", 'a,"b"'],
        ["0440000", "99999999999999.99", "", "=1+1"],
    ]
    assert len(desk.run("query", "FROM serving.large", "--csv").stdout.splitlines()) == 51


def test_a_query_is_read_from_standard_input(desk: Workshop) -> None:
    done = subprocess.run(
        desk.command("query", "-", "--csv"),
        input="-- how many?\nSELECT count(*) AS rows FROM serving.large;\n",
        cwd=desk.directory,
        env=desk.environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "rows\n50\n"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", "Parser Error"),
        ("", "no statement"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("DELETE FROM serving.large", "only reads, and DELETE does not"),
        ("CREATE TEMP TABLE t AS SELECT 1", "only reads, and CREATE does not"),
        ("COPY serving.large TO 'stolen.csv'", "materia tables export"),
        ("SET threads = 1", "only reads, and SET does not"),
        ("ATTACH 'other.duckdb'", "only reads, and ATTACH does not"),
        ("FROM fct_crop", "serving.fct_crop"),
        ("SELECT error('no luck')", "no luck"),
    ],
)
def test_what_is_no_query_is_refused_in_one_sentence(desk: Workshop, sql: str, said: str) -> None:
    before = sorted(desk.directory.rglob("*"))
    done = desk.run("query", sql)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("materia: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(desk.directory.rglob("*")) == before


@pytest.mark.parametrize(
    "sql",
    [
        "FROM serving.spy",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
        "SELECT * FROM glob('*')",
    ],
)
@pytest.mark.parametrize("form", of_each_kind(["--json", "--csv", "--quiet"], "--csv"))
def test_no_query_reads_outside_the_database(desk: Workshop, sql: str, form: str) -> None:
    done = desk.run("query", sql, *([] if form == "--quiet" else [form]))

    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr
    assert "reads published tables only" in done.stderr


def test_control_characters_of_a_value_do_not_reach_the_terminal(desk: Workshop) -> None:
    sql = "SELECT 'a' || chr(27) || ']0;title' || chr(7) || 'b' AS text"

    for form in ([], ["--json"], ["--csv"]):
        done = desk.run("query", sql, *form)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout


def test_two_forms_at_once_are_an_error(desk: Workshop) -> None:
    assert desk.run("query", "SELECT 1", "--json", "--csv").returncode == 2


def test_without_a_publication_the_next_command_is_named(folders: Workshop) -> None:
    done = folders.run("query", "SELECT 1")

    assert done.returncode == 1
    assert "nothing is published in the sink folder yet; run `materia run`" in done.stderr


def test_ctrl_c_ends_a_long_query_without_a_traceback(desk: Workshop) -> None:
    endless = "SELECT 1 AS first UNION ALL SELECT count(*) FROM range(10000000) a, range(100000) b"
    process = desk.start("query", endless)
    started_query(process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)

    assert (process.returncode, stdout, stderr) == (130, "", "")


def started_query(process: subprocess.Popen[str]) -> None:
    """Wait until the process has DuckDB's threads: only then does a query run."""
    tasks = Path(f"/proc/{process.pid}/task")
    while process.poll() is None and len(list(tasks.iterdir())) < 2:
        pass
