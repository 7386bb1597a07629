"""A first build from the recording that a project ships is the first build of SQLMesh."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest
from fakes.psd import balances
from fakes.recorded_place import BUILT, COMMENTS, FILES, FORGOTTEN, SHOWN, Place, made
from fakes.releases import Releases
from materia_runner.worker.sqlmesh.build import TransformReport, TransformRequest, transform
from materia_runner.worker.sqlmesh.fingerprint import RECORDED_BUILD
from materia_runner.worker.sqlmesh.passed_tests import UNREACHED, passed_before
from materia_runner.worker.sqlmesh.recorded.find_build import fetching, is_recorded, opened
from materia_runner.worker.sqlmesh.recorded.first_build import first_build_of
from materia_runner.worker.sqlmesh.recorded.recorded_build import (
    definitions_of,
    hash_of_state,
    load,
)
from materia_runner.worker.sqlmesh.recorded.shipped_build import (
    ShippedBuild,
    read,
    shipped_fingerprint,
    shipped_with,
    write,
)
from record_build import PROJECT, ROOT, SOURCE, shipped_build

TEST = {
    "tests/test_total.yaml": """test_total:
  model: serving.total
  inputs: {cleaned.by_month: {rows: [{month: 2024-01-01, name: pears, value: 2}]}}
  outputs: {query: {rows: [{name: pears, value: 2}]}}
"""
}
PROJECTS = (SOURCE, ROOT / PROJECT)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, TransformReport]:
    """Built by SQLMesh, and then its recording is put into the project; to be copied."""
    place = made(tmp_path_factory.mktemp("first"), {**FILES, **TEST})
    place.add(1, 30)
    report = place.build(1)
    (recorded,) = place.recordings.iterdir()
    build = load(recorded)
    assert build is not None
    tests = tuple(passed_before(place.database).hashes)
    with opened(place.database) as connection:
        fetchall = fetching(connection)
        shipped = ShippedBuild(
            fingerprint=shipped_fingerprint([place.project]),
            definitions=hash_of_state(fetchall),
            first=first_build_of(fetchall, build),
            build=build,
            tests=tests,
        )
    write(place.project / RECORDED_BUILD, shipped)
    return place, report


@pytest.fixture
def built(first: tuple[Place, TransformReport]) -> Place:
    """The place that SQLMesh built, to be read only."""
    return first[0]


@pytest.fixture
def place(first: tuple[Place, TransformReport], tmp_path: Path) -> Place:
    """The same project with the same rows, and no models built."""
    shutil.copytree(first[0].project, tmp_path / "place/project")
    fresh = made(tmp_path / "place", {})
    fresh.add(1, 30)
    return fresh


def test_it_has_the_tables_comments_audits_warnings_and_state_of_sqlmesh(
    place: Place, first: tuple[Place, TransformReport]
) -> None:
    built, report = first
    steps: list[tuple[str, int, int]] = []
    assert place.is_recorded

    replayed = place.build(1, recorded=False, progress=lambda *step: steps.append(step))

    assert report.tests == 1
    assert "as shipped" in replayed.skipped
    assert {one.name for one in replayed.made_in.values()} == {"project"}
    assert replace(replayed, made_in={}, skipped="") == replace(
        report, made_in={}, skipped="", tests=0
    )
    assert [step[1:] for step in steps] == [(done, 4) for done in (1, 2, 3, 4)]
    for query in (SHOWN, COMMENTS, BUILT, FORGOTTEN, "FROM raw.label"):
        # Of materia's own, only the record of passed tests is not there.
        other = [row for row in built.run(query) if "_materia_passed_tests" not in row]
        assert place.run(query) == other, query
    assert definitions(place) == definitions(built)
    assert state(place) == state(built)


def definitions(place: Place) -> dict[str, str]:
    with opened(place.database) as connection:
        found = definitions_of(fetching(connection))
    found.pop("sqlmesh._materia_passed_tests", None)
    return found


def state(place: Place) -> list[object]:
    """All of SQLMesh's state but times, identities and the order of sets."""
    found: list[object] = []
    for table in ("_snapshots", "_environments", "_versions"):
        for row in sorted(place.run(f"SELECT to_json(one)::VARCHAR FROM sqlmesh.{table} AS one")):
            values = json.loads(str(row[0]))
            found.append({name: plain(name, value) for name, value in values.items()})
    return sorted(found, key=str)


def plain(name: str, value: object) -> object:
    if name in {"updated_ts", "unpaused_ts", "finalized_ts", "created_ts", "plan_id"}:
        assert value
        return "made anew"
    if isinstance(value, str) and value[:1] in {"{", "["}:
        value = json.loads(value)
    if isinstance(value, dict):
        return {key: plain(key, one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        return sorted((plain("", one) for one in value), key=str)
    return value


def test_sqlmesh_has_nothing_to_build_after_it(place: Place) -> None:
    place.build(1)

    assert place.build().models == 0


def test_the_months_after_it_are_replayed_without_a_cache(place: Place) -> None:
    place.build(1, recorded=False)
    for month in (2, 3):
        place.add(month, 5)
        replayed = place.build(month, recorded=False)
        assert "as shipped" in replayed.skipped
        assert replayed.models == 3

    assert place.run("FROM serving.total") == [("apples", 41)]


def test_the_months_after_a_build_by_sqlmesh_are_replayed_as_well(
    built: Place, tmp_path: Path
) -> None:
    place = Place(shutil.copytree(built.folder, tmp_path / "place"))
    shutil.rmtree(place.recordings)
    place.add(2, 5)

    assert "as shipped" in place.build(2, recorded=False).skipped


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/total.sql", "SUM(value)", "MAX(value)"),
        ("audits/is_small.sql", "> 10", "> 0"),
        ("seeds/label.csv", "Apples", "Fruits"),
        ("external_models.yaml", "TEXT", "VARCHAR"),
        ("tests/test_total.yaml", "2}]", "3}]"),
    ],
)
def test_an_edited_project_is_for_sqlmesh(place: Place, file: str, old: str, new: str) -> None:
    place.edit(file, old, new)

    assert not place.is_recorded


def test_after_an_edit_no_shipped_test_runs_that_it_does_not_reach(place: Place) -> None:
    place.edit("models/names.sql", "JOIN", "INNER JOIN")

    report = place.build(1)

    assert (report.tests, report.skipped) == (0, UNREACHED)


def test_an_edited_test_runs_and_stops_the_first_build(place: Place) -> None:
    from materia.errors import StageError

    place.edit("tests/test_total.yaml", "rows: [{name: pears, value: 2}]", "rows: []")

    with pytest.raises(StageError, match="1 unit test of models failed"):
        place.build(1)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", gzip.compress(b"{}"), gzip.compress(b"[]"), gzip.compress(b'{"first": {}}')[:-9]],
    ids=["empty", "plain", "no keys", "a list", "cut"],  # the bytes have the time of compression
)
def test_a_damaged_file_counts_as_missing(place: Place, content: bytes) -> None:
    (place.project / RECORDED_BUILD).write_bytes(content)

    assert not place.is_recorded


def test_another_version_of_a_library_is_for_sqlmesh(place: Place) -> None:
    other = place.folder / "other"
    (other / "duckdb-1.5.999.dist-info").mkdir(parents=True)
    (other / "duckdb-1.5.999.dist-info/METADATA").write_text("Name: duckdb\nVersion: 1.5.999\n")
    code = (
        "import sys; from pathlib import Path\n"
        "from materia_runner.worker.sqlmesh.recorded.shipped_build import shipped_with\n"
        "print(shipped_with([Path(sys.argv[1])]) is not None)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {first}\n{code}", place.project],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for first in ([], [str(other)])
    ]

    assert said == ["True", "False"]


def test_several_sources_with_models_are_for_sqlmesh(place: Place) -> None:
    request = TransformRequest(
        database=place.database,
        projects=(place.project,),
        affected={place.project: (date(2024, 1, 1),)},
    )

    assert transform(request).tests == 1
    assert place.run("FROM serving.total") == [("apples", 31)]


@pytest.mark.parametrize("schema", ["sqlmesh", "sqlmesh__serving"])
def test_what_an_earlier_build_left_behind_is_for_sqlmesh(place: Place, schema: str) -> None:
    place.run(f"CREATE SCHEMA {schema}")

    assert not place.is_recorded


def test_a_missing_raw_table_leaves_the_database_as_it_was(place: Place) -> None:
    place.run("ALTER TABLE raw.line RENAME TO other")
    before = definitions(place)

    with pytest.raises(Exception, match="line"):
        place.build(1)

    assert shipped_with([place.project]) is not None
    assert definitions(place).keys() >= before.keys()
    place.run("ALTER TABLE raw.other RENAME TO line")
    assert place.build(1).models >= 3
    assert place.run("FROM serving.total") == [("apples", 31)]


def test_a_first_build_that_was_stopped_is_finished_by_sqlmesh(place: Place) -> None:
    class StoppedError(Exception):
        pass

    def stop(_name: str, done: int, _total: int) -> None:
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        place.build(1, progress=stop)

    assert not place.is_recorded
    assert place.build().models >= 1
    assert place.run("FROM serving.total") == [("apples", 31)]


def test_a_blocking_audit_stops_the_first_build_with_the_words_of_sqlmesh(place: Place) -> None:
    from materia.errors import StageError

    place.add(2, 2000)

    with pytest.raises(StageError, match="accepted_range"):
        place.build(1, 2)


def test_the_shipped_build_is_one_of_todays_models() -> None:
    found = read(ROOT / PROJECT / RECORDED_BUILD)

    assert found is not None
    assert found.fingerprint == shipped_fingerprint(PROJECTS), (
        "a model, a seed, an audit, a unit test, a library or the code that builds changed: run "
        "`make recorded-build`, and commit its file"
    )


def test_the_shipped_build_is_the_one_that_sqlmesh_makes_today(
    first_build: tuple[Releases, TransformReport], tmp_path: Path
) -> None:
    releases, _ = first_build
    copy = tmp_path / "copy.duckdb"
    shutil.copyfile(releases.database, copy)

    found, made = (
        read(ROOT / PROJECT / RECORDED_BUILD),
        shipped_build(copy, releases.directory / "builds"),
    )

    assert found is not None
    assert len(found.tests) > len(made.tests) == 0  # this one was built without unit tests
    made = replace(made, tests=found.tests)
    places = {name: 1 - place for name, place in made.build.made_in.items()}  # the other way round
    assert found == replace(made, build=replace(made.build, made_in=places)), (
        "SQLMesh builds something else now: run `make recorded-build`, and commit its file"
    )


def test_the_shipped_build_has_no_path_and_no_time_of_its_making() -> None:
    text = gzip.decompress((ROOT / PROJECT / RECORDED_BUILD).read_bytes()).decode()

    assert str(Path.home()) not in text
    assert str(ROOT) not in text
    assert "_ts" in text
    assert not re.search(r"_ts\W+[0-9]{13}", text)


@pytest.mark.campaign
def test_the_first_build_of_psd_online_is_the_same_without_sqlmesh(
    releases: Releases, tmp_path: Path
) -> None:
    for month in ("2025-09", "2025-10", "2025-11"):
        releases.publish(month, balances(month, seed=int(month[5:])))
    affected = releases.load().affected
    copy = tmp_path / "copy.duckdb"
    shutil.copyfile(releases.database, copy)
    assert is_recorded(releases.database, None, PROJECTS)
    without = tmp_path / "project"
    shutil.copytree(ROOT / PROJECT, without)
    (without / RECORDED_BUILD).unlink()

    replayed = transform(
        TransformRequest(database=releases.database, projects=PROJECTS, affected=affected)
    )
    built = transform(
        TransformRequest(database=copy, projects=(SOURCE, without), affected=affected)
    )

    assert "as shipped" in replayed.skipped
    assert built.tests > 0
    assert replace(replayed, made_in={}, skipped="") == replace(
        built, made_in={}, skipped="", tests=0
    )
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{str(releases.database).replace(chr(39), chr(39) * 2)}' AS a")
        connection.execute(f"ATTACH '{copy}' AS b")
        for table in replayed.tables:
            for one, other in (("a", "b"), ("b", "a")):
                rows = f"FROM {one}.{table} EXCEPT ALL FROM {other}.{table}"
                assert connection.execute(rows).fetchall() == []
    assert is_recorded(copy, None, PROJECTS)
    again = transform(TransformRequest(database=releases.database, projects=PROJECTS))
    assert again.models == 0
