"""Unit tests of models run when something changed that they depend on, and else not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from fakes.examples import of_each_kind
from materia.errors import StageError
from materia_runner.worker.sqlmesh.build import TransformReport, TransformRequest, transform
from materia_runner.worker.sqlmesh.fingerprint import project_files
from materia_runner.worker.sqlmesh.passed_tests import (
    PASSED,
    SKIPPED,
    UNREACHED,
    fingerprint_of_tests,
)
from materia_runner.worker.sqlmesh.unit_tests.reached_tests import texts_in

MODEL = """MODEL (name serving.sum, kind FULL, columns (total INT));
SELECT @plus(number, 1) AS total FROM raw.number
"""
MACRO = """from sqlmesh import macro


@macro()
def plus(evaluator, one, other):
    return f"{one} + {other}"
"""
TEST = """test_sum:
  model: serving.sum
  inputs:
    raw.number:
      rows: [{number: 1}]
  outputs:
    query:
      rows: [{total: 2}]
"""
EXTERNAL = "- name: raw.number\n  columns: {number: INT}\n"
NUMBERS = """import pandas
from sqlmesh import model

ONE = 1


@model("serving.numbers", kind="FULL", columns={"number": "INT"})
def execute(context, **_):
    return pandas.DataFrame([{"number": ONE}])
"""
FILES = {
    "models/sum.sql": MODEL,
    "macros/plus.py": MACRO,
    "macros/__init__.py": "",
    "tests/test_sum.yaml": TEST,
    "external_models.yaml": EXTERNAL,
}

Run = Callable[[], TransformReport]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


@pytest.fixture
def run(project: Path, tmp_path: Path) -> Run:
    database = tmp_path / "working copy.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA raw; CREATE TABLE raw.number AS SELECT 41 AS number")
    request = TransformRequest(database=database, projects=(project,))
    return lambda: transform(request)


def test_unit_tests_that_passed_do_not_run_again_and_the_report_says_why(run: Run) -> None:
    first, second = run(), run()

    assert (first.tests, first.skipped) == (1, "")
    assert (second.tests, second.skipped) == (0, SKIPPED)


@pytest.mark.parametrize("name", of_each_kind(FILES, "macros/plus.py", "external_models.yaml"))
def test_unit_tests_run_again_when_a_file_of_the_project_changed(
    run: Run, project: Path, name: str
) -> None:
    run()
    comment = "--" if name.endswith(".sql") else "#"
    (project / name).write_text(f"{FILES[name]}{comment} another line\n")

    assert run().tests == 1
    assert run().tests == 0


def test_after_an_edit_only_the_unit_tests_run_that_it_reaches(run: Run, project: Path) -> None:
    more = MODEL.replace("serving.sum", "serving.more").replace("raw.number", "serving.sum")
    more = more.replace("number, 1", "total, 1")
    (project / "models/more.sql").write_text(more)
    tests = TEST.replace("sum", "more").replace("raw.number", "serving.sum")
    tests = tests.replace("{number: 1}", "{total: 1}").replace("serving.more:", "serving.sum:")
    (project / "tests/test_sum.yaml").write_text(TEST + tests)
    assert run().tests == 2

    (project / "models/more.sql").write_text(more.replace("AS total", "AS total /* edited */"))
    assert run().tests == 1
    (project / "models/sum.sql").write_text(MODEL.replace("AS total", "AS total /* edited */"))
    assert run().tests == 2
    (project / "models/alone.sql").write_text(MODEL.replace("serving.sum", "serving.alone"))
    report = run()
    assert (report.tests, report.skipped) == (0, UNREACHED)


@pytest.mark.parametrize(
    ("text", "models"),
    [
        (TEST + TEST.replace("sum:", "two:"), [("serving.sum",), ("serving.sum",)]),
        (TEST + "# more\n\n" + TEST.replace("sum:", "two:"), [("serving.sum",)] * 2),
        (TEST.replace("raw.number:", "raw.number: &one"), [("serving.sum",)]),
        (TEST + TEST, [None]),  # YAML refuses it
        (TEST.replace("  ", " ") + " vars:\n  model: serving.other\n", [None]),
        (TEST.replace("serving.sum", "'serving.sum'"), [None]),
        (TEST.replace("1}", "{{ var('one') }}}"), [None]),
        ("{test_sum: {model: serving.sum}}", [None]),
        ("# nothing\n", [None]),
        ("", []),
    ],
)
def test_a_file_is_cut_only_where_each_test_is_sure_to_stand_alone(
    tmp_path: Path, text: str, models: list[tuple[str, ...] | None]
) -> None:
    (tmp_path / "test_one.yaml").write_text(text)

    found = texts_in(tmp_path / "test_one.yaml")

    assert [one.models for one in found] == models
    assert all(one.text in text for one in found)


def test_what_a_model_in_python_has_for_others_reaches_their_unit_tests(
    run: Run, project: Path
) -> None:
    (project / "models/numbers.py").write_text(NUMBERS)
    macro = MACRO.replace("{other}", "{other * ONE}")
    macro = f"from models.numbers import ONE\n{macro}".replace(
        "return f", "other = 1\n    return f"
    )
    (project / "macros/plus.py").write_text(macro)
    assert run().tests == 1

    (project / "models/numbers.py").write_text(NUMBERS.replace("ONE = 1", "ONE = 1000"))
    sys.modules.pop("models.numbers")  # as in another process

    with pytest.raises(StageError, match="1 unit test of models failed"):
        run()


def test_a_changed_macro_that_breaks_a_unit_test_stops_the_run(run: Run, project: Path) -> None:
    run()
    (project / "macros/plus.py").write_text(MACRO.replace("+ {other}", "- {other}"))

    for _ in range(2):  # a failed run leaves nothing behind that a later one believes
        with pytest.raises(StageError, match="1 unit test of models failed"):
            run()


def test_unit_tests_run_again_after_a_build_that_failed_behind_them(
    run: Run, project: Path, tmp_path: Path
) -> None:
    audited = MODEL.replace("(total INT)", "(total INT), audits (not_null(columns := (total)))")
    (project / "models/sum.sql").write_text(audited)
    with duckdb.connect(str(tmp_path / "working copy.duckdb")) as connection:
        connection.execute("UPDATE raw.number SET number = NULL")
    with pytest.raises(StageError, match="audit not_null"):
        run()
    with duckdb.connect(str(tmp_path / "working copy.duckdb")) as connection:
        connection.execute("UPDATE raw.number SET number = 41")

    assert run().tests == 1
    assert run().tests == 0


def test_another_version_of_a_package_is_another_fingerprint(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    found = []
    for version in ("1.0", "1.1"):
        folder = tmp_path / f"packages/something-{version}.dist-info"
        folder.mkdir(parents=True)
        found.append(fingerprint_of_tests([project]))
        folder.rmdir()

    assert found[0] != found[1]
    assert fingerprint_of_tests([project]) == fingerprint_of_tests([project])


def test_what_passed_is_forgotten_with_a_state_of_no_use(run: Run, tmp_path: Path) -> None:
    run()
    with duckdb.connect(str(tmp_path / "working copy.duckdb")) as connection:
        connection.execute("DELETE FROM sqlmesh._versions")

    assert run().tests == 1


def test_a_table_of_another_shape_in_place_of_what_passed_runs_the_tests(
    run: Run, tmp_path: Path
) -> None:
    run()
    with duckdb.connect(str(tmp_path / "working copy.duckdb")) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE sqlmesh.{PASSED} AS SELECT 1 AS other")

    assert run().tests == 1


def test_a_model_in_a_folder_called_logs_belongs_to_the_project(project: Path) -> None:
    for path in ("models/logs/event.sql", "logs/sqlmesh.sql", "models/.cache/kept.sql"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("SELECT 1")

    found = {str(path.relative_to(project)) for path in project_files(project)}

    assert found == {*FILES, "models/logs/event.sql", "models/.cache/kept.sql"}


@pytest.mark.parametrize("seed", ["../seeds/a.tsv", "../report/a.csv", "../../a.csv"])
def test_a_seed_that_could_change_unnoticed_is_refused(run: Run, project: Path, seed: str) -> None:
    (project / "models/seed.sql").write_text(
        f"MODEL (name raw.seed, kind SEED (path '{seed}'), columns (a INT))\n"
    )
    file = project / "models" / seed
    file.parent.mkdir(exist_ok=True)
    file.write_text("a\n1\n")

    with pytest.raises(StageError, match=rf"raw.seed: its seed {seed} must be a .csv file"):
        run()
