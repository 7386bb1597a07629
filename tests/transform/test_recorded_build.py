"""A build without SQLMesh, from the recorded statements of the last one, is the same build."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb
import pytest
from fakes.psd import balances
from fakes.releases import Releases
from materia.errors import StageError
from materia_runner.worker.sqlmesh.build import TransformReport, TransformRequest, transform
from materia_runner.worker.sqlmesh.recorded.replay_build import is_recorded

EXTERNAL = """- name: raw.line
  columns: {month: DATE, name: TEXT, value: INT}
"""
BY_MONTH = """MODEL (name cleaned.by_month, kind INCREMENTAL_BY_TIME_RANGE (time_column month),
  grain (month, name), description 'One row a month and name.',
  columns (month DATE, name TEXT, value BIGINT), column_descriptions (value = 'Sum of the lines.'),
  audits (not_null(columns := (name)), few_rows));
SELECT month, name, SUM(value)::BIGINT AS value FROM raw.line
WHERE month BETWEEN @start_date AND @end_date GROUP BY ALL
"""
TOTAL = """MODEL (name serving.total, kind FULL, grain (name), description 'Totals.',
  columns (name TEXT, value BIGINT), column_descriptions (value = 'It''s a sum.'),
  audits (accepted_range(column := value, max_v := 1000), is_small));
SELECT name, SUM(value)::BIGINT AS value FROM cleaned.by_month GROUP BY ALL
"""
NAMES = """MODEL (name serving.names, kind VIEW, columns (name TEXT, label TEXT));
SELECT name, label FROM serving.total JOIN raw.label USING (name)
"""
LABEL = """MODEL (name raw.label, kind SEED (path '../seeds/label.csv'),
  columns (name TEXT, label TEXT));
"""
AUDITS = """AUDIT (name is_small, blocking FALSE);
SELECT * FROM @this_model WHERE value > 10;
"""
FEW_ROWS = """AUDIT (name few_rows, blocking FALSE);
SELECT month, name, value FROM @this_model WHERE value >= 9;
"""
FILES = {
    "external_models.yaml": EXTERNAL,
    "models/by_month.sql": BY_MONTH,
    "models/total.sql": TOTAL,
    "models/names.sql": NAMES,
    "models/label.sql": LABEL,
    "seeds/label.csv": "name,label\napples,Apples\n",
    "audits/is_small.sql": AUDITS,
    "audits/few_rows.sql": FEW_ROWS,
}
SHOWN = (
    "SELECT 'total', name, value::TEXT FROM serving.total UNION ALL "
    "SELECT 'names', name, label FROM serving.names UNION ALL "
    "SELECT month::TEXT, name, value::TEXT FROM cleaned.by_month ORDER BY ALL"
)
COMMENTS = (
    "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal "
    "UNION ALL SELECT schema_name, table_name, '', comment FROM duckdb_tables() ORDER BY ALL"
)
# What SQLMesh makes of the records in its state, in their order, is one span for each model.
BUILT = (
    "SELECT name, min(start_ts), max(end_ts), count(*) FROM sqlmesh._intervals "
    "WHERE NOT is_removed GROUP BY ALL ORDER BY ALL"
)
FORGOTTEN = BUILT.replace("NOT is_removed", "is_removed")


@dataclass(frozen=True)
class Place:
    """A project, a database and a cache."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "somebody's copy.duckdb"

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def recordings(self) -> Path:
        return self.folder / "builds"

    @property
    def is_recorded(self) -> bool:
        return is_recorded(self.database, self.recordings, (self.project,))

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.database)) as connection:
            for statement in statements:
                connection.execute(statement)
            return connection.fetchall()

    def add(self, month: int, value: int = 1, name: str = "apples") -> None:
        self.run(f"INSERT INTO raw.line VALUES ('2024-{month:02}-01', '{name}', {value})")

    def build(
        self,
        *months: int,
        recorded: bool = True,
        progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> TransformReport:
        return transform(
            TransformRequest(
                database=self.database,
                projects=(self.project,),
                affected=tuple(date(2024, month, 1) for month in months),
                recordings=self.recordings if recorded else None,
                progress=progress,
            )
        )

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.project / file).read_text()
        assert old in text
        (self.project / file).write_text(text.replace(old, new))


def made(folder: Path, files: dict[str, str]) -> Place:
    place = Place(folder)
    for name, text in files.items():
        path = place.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    place.run("CREATE SCHEMA raw; CREATE TABLE raw.line (month DATE, name TEXT, value INT)")
    place.add(1)
    return place


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Built once by SQLMesh; to be copied."""
    place = made(tmp_path_factory.mktemp("first"), FILES)
    place.build(1)
    return place


@pytest.fixture
def place(first: Place, tmp_path: Path) -> Place:
    shutil.copytree(first.folder, tmp_path / "place")
    return Place(tmp_path / "place")


def test_it_has_the_tables_comments_audits_warnings_and_records_of_sqlmesh(
    place: Place, tmp_path: Path
) -> None:
    for month, value in ((2, 30), (3, 4), (7, 9)):
        place.add(month, value)
    other = Place(shutil.copytree(place.folder, tmp_path / "other"))
    assert place.is_recorded
    steps: list[tuple[str, int, int]] = []

    replayed = place.build(2, 3, 7, progress=lambda *step: steps.append(step))
    built = other.build(2, 3, 7, recorded=False)

    assert len(built.warnings) > 1
    assert {name: one.name for name, one in replayed.made_in.items()} == {
        name: one.name for name, one in built.made_in.items()
    }
    assert replace(replayed, warnings=tuple(sorted(replayed.warnings)), made_in={}) == replace(
        built, warnings=tuple(sorted(built.warnings)), made_in={}
    )
    assert [step[1:] for step in steps] == [(1, 3), (2, 3), (3, 3)]
    for query in (SHOWN, COMMENTS, BUILT, FORGOTTEN):
        assert place.run(query) == other.run(query)
    assert place.run(SHOWN)[-1] == ("total", "apples", "44")
    assert place.run("FROM sqlmesh._environments") != other.run("FROM sqlmesh._environments")


def test_sqlmesh_has_nothing_to_build_after_it(place: Place) -> None:
    place.add(2)
    place.build(2)

    assert place.build(recorded=False).models == 0


def test_it_goes_on_month_after_month(place: Place) -> None:
    for month in (2, 3, 4):
        place.add(month)
        assert place.is_recorded
        place.build(month)

    assert place.run("FROM serving.total") == [("apples", 4)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sqlmesh._snapshots SET snapshot = replace(snapshot, 'SUM(value)', 'MAX(value)')",
        "UPDATE sqlmesh._intervals SET end_ts = end_ts - 1",
        "DELETE FROM sqlmesh._intervals",
        "INSERT INTO sqlmesh._environment_statements VALUES ('prod', 'x', '{}')",
        "UPDATE sqlmesh._materia_ended_build SET state = ''",
        "DROP TABLE sqlmesh._materia_ended_build",
        "CREATE OR REPLACE VIEW serving.names AS SELECT 'a' AS name, 'b' AS label",
        "DROP VIEW serving.names",
        "UPDATE sqlmesh._snapshots SET snapshot = '[]'",
        "ALTER TABLE sqlmesh._snapshots DROP COLUMN snapshot",
        "DROP SCHEMA sqlmesh CASCADE",
    ],
)
def test_a_state_or_view_that_changed_since_the_last_build_is_for_sqlmesh(
    place: Place, statement: str
) -> None:
    place.run(statement)

    assert not place.is_recorded


def test_a_changed_definition_is_not_believed_even_if_the_record_of_the_end_fits(
    place: Place,
) -> None:
    place.run("UPDATE sqlmesh._snapshots SET snapshot = replace(snapshot, 'SUM(', 'MAX(')")
    before = place.run("FROM sqlmesh._materia_ended_build")
    hashes = "SELECT string_agg(hash, ' ' ORDER BY place) FROM (VALUES {}) AS state (place, hash)"
    tables = place.run(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'sqlmesh' AND NOT "
        "starts_with(table_name, '_materia_') ORDER BY 1"
    )
    one = (
        "({}, (SELECT md5(coalesce(string_agg(line, chr(10) ORDER BY line), '')) "
        'FROM (SELECT one::VARCHAR AS line FROM sqlmesh."{}" AS one)))'
    )
    values = ", ".join(one.format(index, name) for index, (name,) in enumerate(tables))
    place.run(f"UPDATE sqlmesh._materia_ended_build SET state = ({hashes.format(values)})")

    assert place.run("FROM sqlmesh._materia_ended_build") != before
    assert not place.is_recorded


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/total.sql", "SUM(value)", "MAX(value)"),
        ("audits/is_small.sql", "> 10", "> 0"),
        ("seeds/label.csv", "Apples", "Fruits"),
    ],
)
def test_an_edited_project_is_for_sqlmesh(place: Place, file: str, old: str, new: str) -> None:
    place.edit(file, old, new)

    assert not place.is_recorded


@pytest.mark.parametrize(
    "files",
    [
        {
            "macros/__init__.py": "",
            "macros/one.py": "from sqlmesh import macro\n\n\n@macro()\ndef one(evaluator):\n"
            "    return '1'\n",
            "models/total.sql": TOTAL.replace("SUM(value)", "@one() * SUM(value)"),
        },
        {"models/total.sql": TOTAL.replace("FROM cleaned", ", @execution_ts AS at FROM cleaned")},
        {"models/total.sql": TOTAL + ";\nCREATE TABLE IF NOT EXISTS raw.more AS SELECT 1 AS one"},
        {"models/total.sql": TOTAL.replace("(name)", "(name), cron '@weekly'", 1)},
    ],
    ids=["a macro of the project", "the time of the run", "a statement beside the query", "weeks"],
)
def test_what_only_sqlmesh_can_build_is_not_recorded(tmp_path: Path, files: dict[str, str]) -> None:
    place = made(tmp_path, {**FILES, **files})
    if "@execution_ts" in files["models/total.sql"]:
        place.edit(
            "models/total.sql", "(name TEXT, value BIGINT)", "(name TEXT, value BIGINT, at TEXT)"
        )
        place.edit("models/total.sql", "GROUP BY ALL", "GROUP BY name")
    place.build(1)

    assert not place.recordings.exists()


def test_a_blocking_audit_stops_it_with_the_words_of_sqlmesh(place: Place, tmp_path: Path) -> None:
    place.add(2, 2000)
    other = Place(shutil.copytree(place.folder, tmp_path / "other"))
    with pytest.raises(StageError) as built:
        other.build(2, recorded=False)

    with pytest.raises(StageError) as replayed:
        place.build(2)

    assert str(replayed.value) == str(built.value)
    assert "accepted_range" in str(built.value)


def test_a_build_that_was_stopped_is_finished_by_sqlmesh(place: Place) -> None:
    class StoppedError(Exception):
        pass

    def stop(_name: str, done: int, _total: int) -> None:
        if done == 2:
            raise StoppedError

    place.add(2)
    with pytest.raises(StoppedError):
        place.build(2, progress=stop)

    assert not place.is_recorded
    assert place.build().models == 1
    assert place.run("FROM serving.total") == [("apples", 2)]


@pytest.mark.campaign
def test_the_models_of_psd_online_are_the_same_without_sqlmesh(
    releases: Releases, projects: tuple[Path, Path], tmp_path: Path
) -> None:
    request = TransformRequest(
        database=releases.database, projects=projects, recordings=tmp_path / "builds"
    )
    for month in ("2025-09", "2025-10"):
        releases.publish(month, balances(month, seed=int(month[5:])))
    transform(replace(request, affected=releases.load().affected))
    releases.publish("2025-11", balances("2025-11", seed=11))
    affected = releases.load().affected
    copy = tmp_path / "copy.duckdb"
    shutil.copyfile(releases.database, copy)
    assert is_recorded(releases.database, tmp_path / "builds", projects)

    replayed = transform(replace(request, affected=affected))
    built = transform(replace(request, database=copy, affected=affected, recordings=None))

    assert replayed == built
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{str(releases.database).replace(chr(39), chr(39) * 2)}' AS a")
        connection.execute(f"ATTACH '{copy}' AS b")
        for table in replayed.tables:
            for one, other in (("a", "b"), ("b", "a")):
                assert (
                    connection.execute(
                        f"FROM {one}.{table} EXCEPT ALL FROM {other}.{table}"
                    ).fetchall()
                    == []
                )
