"""After a build that failed or was killed, a repaired file and an edited model are built right."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.psd import Row, balances
from fakes.releases import Releases
from fakes.sqlmesh_builds import built_once, killed_behind
from materia.errors import StageError
from materia_runner.worker.sqlmesh.build import TransformReport

Ask = Callable[[str], list[tuple[object, ...]]]
Build = Callable[..., TransformReport]
Projects = tuple[Path, Path]
Tables = dict[str, list[tuple[object, ...]]]
SERVED = ("fct_balance", "agg_world_balance", "dim_commodity", "fct_revision")
LIMIT = 1_000_000
EDITED = ("balance.production) AS yield", "balance.production, NULL) AS yield")


def rows(month: str) -> list[Row]:
    return balances(month, years=(2023, 2024, 2025), seed=int(month[5:]))


def too_much(month: str) -> list[Row]:
    """The same with one figure that an audit of these tests stops."""
    first = next(row for row in rows(month) if row.attribute == "028")
    return [replace(row, value=2.0 * LIMIT) if row == first else row for row in rows(month)]


def served(ask: Ask) -> Tables:
    return {name: ask(f"SELECT * FROM serving.{name} ORDER BY ALL") for name in SERVED}


def made_strict(projects: Projects, folder: Path) -> Projects:
    """The projects with an audit that stops a build once the cleaned tables are there."""
    for project in projects:
        shutil.copytree(project, folder / project.name)
    strict = (folder / projects[0].name, folder / projects[1].name)
    edit(
        strict,
        "    supply_equals_distribution,",
        f'    ACCEPTED_RANGE("column" := production, max_v := {LIMIT}),\n'
        "    supply_equals_distribution,",
    )
    return strict


@pytest.fixture
def strict(projects: Projects, tmp_path: Path) -> Projects:
    return made_strict(projects, tmp_path / "strict")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, projects: Projects) -> Releases:
    """What many of the steps begin with: a build of one good release."""
    strict = made_strict(projects, tmp_path_factory.mktemp("strict"))
    return built_once(
        tmp_path_factory,
        "good",
        strict,
        lambda releases: releases.publish("2025-09", rows("2025-09")),
    )[0]


def edit(projects: Projects, before: str, after: str) -> None:
    model = projects[0] / "models/serving/fct_balance.sql"
    text = model.read_text()
    assert before in text
    model.write_text(text.replace(before, after))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, shipped: Projects) -> Tables:
    """What one build of the two good releases gives."""

    def publish(releases: Releases) -> None:
        for month in ("2025-09", "2025-11"):
            releases.publish(month, rows(month))

    return served(built_once(tmp_path_factory, "expected", shipped, publish)[0].ask)


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param("good, bad: fails, repaired and edited", marks=pytest.mark.campaign),
        pytest.param("bad: fails, repaired", marks=pytest.mark.campaign),
        pytest.param("good, bad: fails, edited: fails, repaired", marks=pytest.mark.campaign),
        pytest.param(
            "good, bad: fails, edited: fails, repaired and taken back", marks=pytest.mark.campaign
        ),
        "good, bad: killed, repaired and edited",
        pytest.param("bad: killed, edited: fails, repaired", marks=pytest.mark.campaign),
    ],
)
def test_what_was_built_of_a_bad_file_does_not_stay(  # noqa: PLR0917 -- of fixtures
    steps: str, releases: Releases, build: Build, strict: Projects, expected: Tables, good: Releases
) -> None:
    for step in steps.split(", "):
        releases.publish("2025-09", rows("2025-09"))
        if "bad" in step:
            releases.publish("2025-11", too_much("2025-11"))
        if "repaired" in step:
            releases.publish("2025-11", rows("2025-11"))
        if "edited" in step:
            edit(strict, *EDITED)
        if "taken back" in step:
            edit(strict, *reversed(EDITED))
        if "fails" in step:
            with pytest.raises(StageError, match="accepted_range on production failed for 1 row: "):
                build(strict)
        elif "killed" in step:
            affected = releases.load().affected
            killed_behind(
                "cleaned.cln_psdalldata__commodity_pivoted",
                database=releases.database,
                projects=strict,
                affected=affected,
            )
        elif step == "good":
            releases.take_over(good)
        else:
            build(strict)

    assert served(releases.ask) == expected
