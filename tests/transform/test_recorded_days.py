"""A build without SQLMesh has the days and the conditions that SQLMesh's own would have."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from fakes.recorded_place import BUILT, FILES, SHOWN, Place, made
from materia.errors import StageError
from materia_runner.worker.sqlmesh.recorded.find_build import note_ended

JINJA_AUDIT = """AUDIT (name is_small, blocking FALSE);
JINJA_QUERY_BEGIN;
SELECT * FROM {{ this_model }} WHERE '{{ execution_ds }}' < '2000-01-01';
JINJA_END;
"""


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


@pytest.mark.parametrize(
    "bounds", ["start '2024-02-01'", "start '2024-02-01', end '2024-03-31'", "allow_partials TRUE"]
)
def test_a_model_has_the_days_that_sqlmesh_builds_of_it_and_no_others(
    tmp_path: Path, bounds: str
) -> None:
    place = made(tmp_path / "place", FILES)
    place.edit("models/by_month.sql", "cleaned.by_month, ", f"cleaned.by_month, {bounds}, ")
    place.build(1)
    for month in (1, 2, 4):
        place.add(month, 5)
    other = Place(shutil.copytree(place.folder, tmp_path / "other"))

    place.build(1, 2, 4)
    other.build(1, 2, 4, recorded=False)

    for query in (SHOWN, BUILT):
        assert place.run(query) == other.run(query)


@pytest.mark.parametrize("ago", [(10,), (10, 60), (17, 2)])
def test_the_days_since_the_last_build_are_built_whole_wherever_the_changes_are(
    place: Place, ago: tuple[int, ...]
) -> None:
    place.run(f"UPDATE sqlmesh._intervals SET end_ts = end_ts - {20 * 86_400_000}")
    with duckdb.connect(str(place.database)) as connection:
        note_ended(lambda sql: connection.execute(sql).fetchall(), connection.execute)
    assert place.is_recorded
    today = datetime.now(UTC).date()

    replayed = place.build(*(today - timedelta(days=days) for days in ago))

    assert replayed.models == 3
    assert place.build(recorded=False).models == 0


def test_a_model_that_begins_after_the_change_is_built_again(place: Place) -> None:
    place.edit("models/total.sql", "serving.total, ", "serving.total, start '2024-06-01', ")
    place.build()
    place.add(2, 6)

    place.build(2, recorded=False)

    assert place.run("FROM serving.total") == [("apples", 7)]


def test_a_model_is_recorded_however_its_name_is_written(tmp_path: Path) -> None:
    place = made(tmp_path, FILES)
    place.edit("models/names.sql", "serving.names", 'serving."Names"')
    place.edit("models/total.sql", "serving.total", "Serving.Total")
    place.build(1)
    place.add(2)

    assert place.is_recorded
    place.build(2)
    assert place.run("FROM serving.total") == [("apples", 2)]


@pytest.mark.parametrize(
    "condition",
    ["@IF(@start_ds < '2000-01-02', FALSE, TRUE)", "CAST(@start_ds AS DATE) > '2010-01-01'"],
)
def test_a_condition_on_the_day_of_the_build_holds_for_its_own_days(
    tmp_path: Path, condition: str
) -> None:
    place = made(tmp_path / "place", FILES)
    place.edit("models/by_month.sql", "GROUP BY ALL", f"AND {condition} GROUP BY ALL")
    place.build(1)
    place.add(2)
    other = Place(shutil.copytree(place.folder, tmp_path / "other"))

    place.build(2)
    other.build(2, recorded=False)

    assert place.run("FROM serving.total") == other.run("FROM serving.total") == [("apples", 1)]


def test_an_audit_of_jinja_that_knows_the_day_is_for_sqlmesh(tmp_path: Path) -> None:
    place = made(tmp_path, {**FILES, "audits/is_small.sql": JINJA_AUDIT})
    place.build(1)
    place.add(2)

    assert place.build(2).warnings == ()
    assert not place.is_recorded


LONG_AGO = (date(1961, 3, 1), date(2024, 2, 1))


def test_an_incremental_model_has_the_rows_of_a_history_that_is_older_than_the_century(
    tmp_path: Path,
) -> None:
    place = made(tmp_path / "place", FILES)
    place.run("INSERT INTO raw.line VALUES ('1961-03-01', 'apples', 2)")

    place.build(1, *LONG_AGO)

    assert place.run("SELECT month, value FROM cleaned.by_month ORDER BY month") == [
        (date(1961, 3, 1), 2),
        (date(2024, 1, 1), 1),
    ]


@pytest.mark.parametrize("recorded", [True, False])
def test_rows_from_before_the_first_day_of_a_model_are_refused_until_it_names_a_start(
    place: Place,
    recorded: bool,  # noqa: FBT001 -- pytest names it
) -> None:
    place.run("INSERT INTO raw.line VALUES ('1850-01-01', 'apples', 2)")

    with pytest.raises(StageError) as refused:
        place.build(date(1850, 1, 1), recorded=recorded)
    place.edit("models/by_month.sql", "grain", "start '1850-01-01', grain")
    place.build(date(1850, 1, 1), recorded=recorded)

    assert str(refused.value) == (
        "cleaned.by_month: it begins on 1900-01-01, and would lack the rows of 1850-01-01; write "
        "start '1850-01-01' into its MODEL (...), or another day to leave older rows out"
    )
    assert place.run("SELECT min(month) FROM cleaned.by_month") == [(date(1850, 1, 1),)]
