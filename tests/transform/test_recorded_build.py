"""A build without SQLMesh, from the recorded statements of the last one, is the same build."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from fakes.psd import balances
from fakes.recorded_place import (
    AUDITS,
    BUILT,
    COMMENTS,
    FILES,
    FORGOTTEN,
    SHOWN,
    TOTAL,
    Place,
    made,
)
from fakes.releases import Releases
from materia.errors import StageError
from materia_runner.worker.sqlmesh.build import TransformRequest, transform
from materia_runner.worker.sqlmesh.recorded.find_build import is_recorded
from materia_runner.worker.sqlmesh.recorded.recorded_build import (
    KEPT_BUILDS,
    RecordedBuild,
    load,
    save,
)


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


def test_a_recording_that_does_not_fit_is_replaced_after_the_next_build(place: Place) -> None:
    (recording,) = place.recordings.iterdir()
    recording.write_text(recording.read_text().replace("CREATE VIEW", "CREATE  VIEW"))
    assert not place.is_recorded

    place.add(2)
    place.build(2)

    assert list(place.recordings.iterdir()) == [recording]
    assert place.is_recorded


def test_after_an_edit_only_the_models_that_it_reaches_are_recorded_anew(
    place: Place, tmp_path: Path
) -> None:
    place.edit("models/total.sql", "SUM(value)", "MAX(value)")
    alone = Place(shutil.copytree(place.folder, tmp_path / "alone"))
    shutil.rmtree(alone.recordings)
    (earlier,) = place.recordings.iterdir()
    # A mark in each recorded model, which SQLMesh would not write.
    values = json.loads(earlier.read_text())
    for model in values["models"]:
        model["grain"].append("mark")
    earlier.write_text(json.dumps(values))

    place.build()
    alone.build()

    (recording,) = set(place.recordings.iterdir()) - {earlier}
    found, whole = load(recording), load(alone.recordings / recording.name)
    assert found is not None
    assert whole is not None
    marked = {one.name for one in found.models if "mark" in one.grain}
    assert marked == {"cleaned.by_month", "raw.label"}
    unmarked = [
        replace(one, grain=tuple(name for name in one.grain if name != "mark"))
        for one in found.models
    ]
    assert replace(found, models=tuple(unmarked)) == whole


@pytest.mark.parametrize(
    ("file", "text", "old", "new"),
    [
        (
            "is_small",
            AUDITS.replace("FALSE", "FALSE, defaults (most = 10)").replace("> 10", "> @most"),
            "most = 10",
            "most = 0",
        ),
        (
            "not_null",
            AUDITS.replace("is_small", "not_null"),
            "> 10",
            "> 0",
        ),
    ],
    ids=["the defaults of an audit", "an audit with the name of a built-in one"],
)
def test_an_edit_that_no_version_shows_is_recorded(
    tmp_path: Path, file: str, text: str, old: str, new: str
) -> None:
    place = made(tmp_path, {**FILES, f"audits/{file}.sql": text})
    assert not place.build(1).warnings
    place.edit(f"audits/{file}.sql", old, new)
    place.build()
    place.add(2)
    assert place.is_recorded

    assert [file in one for one in place.build(2).warnings] == [True]


def test_an_audit_is_that_of_sqlmesh_again_once_the_project_has_none_of_its_name(
    tmp_path: Path,
) -> None:
    own = AUDITS.replace("is_small", "not_null")
    place = made(tmp_path, {**FILES, "audits/not_null.sql": own})
    assert not place.build(1).warnings
    (place.project / "audits/not_null.sql").unlink()
    place.build()
    place.add(2, value=20)
    assert place.is_recorded

    assert [one for one in place.build(2).warnings if "not_null" in one] == []


def test_of_many_recordings_the_latest_used_are_kept(tmp_path: Path) -> None:
    build = RecordedBuild(
        models=(), tables=(), made_in={}, definitions={}, as_made={}, made_with=""
    )
    paths = [tmp_path / "builds" / f"{number:02}.json" for number in range(KEPT_BUILDS + 2)]
    for path in paths[:-2]:
        save(path, build)
        os.utime(path, (int(path.stem), int(path.stem)))
    assert load(paths[0]) == build

    for path in paths[-2:]:
        save(path, build)

    assert sorted(paths[0].parent.iterdir()) == [paths[0], *paths[3:]]


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
