from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from fakes.psd import balances
from fakes.releases import Releases
from fakes.sqlmesh_builds import built_once
from materia_runner.worker.sqlmesh.build import TransformReport, TransformRequest, transform

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "transform" / "sqlmesh_materia"
SOURCE = ROOT / "plugins/sources/psdonline/src/materia_psdonline/models"
LEFT_BEHIND = shutil.ignore_patterns(".cache", "logs", "__pycache__", "*.duckdb", "*.wal")

Build = Callable[..., TransformReport]


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The two project folders, to be read only; without their unit tests, which run elsewhere."""
    folder = tmp_path_factory.mktemp("projects")
    for name, project in (("workspace", PROJECT), ("source", SOURCE)):
        shutil.copytree(project, folder / name, ignore=LEFT_BEHIND)
        shutil.rmtree(folder / name / "tests")
    return folder / "workspace", folder / "source"


@pytest.fixture
def own_projects(tmp_path: Path) -> tuple[Path, Path]:
    """The same to be changed, with their unit tests."""
    for name, project in (("workspace", PROJECT), ("source", SOURCE)):
        shutil.copytree(project, tmp_path / "projects" / name, ignore=LEFT_BEHIND)
    return tmp_path / "projects/workspace", tmp_path / "projects/source"


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """A raw layer with nothing in it yet."""
    return Releases(tmp_path)


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The two project folders with their recorded build, in the order that it was recorded in.

    What is built of them takes a second where SQLMesh takes ten; test_shipped_build.py shows that
    it is the same.
    """
    folder = tmp_path_factory.mktemp("shipped")
    for name, project in (("source", SOURCE), ("workspace", PROJECT)):
        shutil.copytree(project, folder / name, ignore=LEFT_BEHIND)
    return folder / "source", folder / "workspace"


@pytest.fixture
def build_shipped(build: Build, shipped: tuple[Path, Path]) -> Build:
    """Load what was published since the last time, and build the models as they are shipped."""
    return partial(build, shipped)


@pytest.fixture
def build(releases: Releases, projects: tuple[Path, Path]) -> Build:
    """Load what was published since the last time, and build the models with SQLMesh."""

    def build(
        projects: tuple[Path, ...] = projects, affected: tuple[date, ...] | None = None
    ) -> TransformReport:
        loaded = releases.load().affected
        return transform(
            TransformRequest(
                database=releases.database,
                projects=projects,
                affected=loaded if affected is None else affected,
            )
        )

    return build


@pytest.fixture(scope="session")
def first_build(
    tmp_path_factory: pytest.TempPathFactory, projects: tuple[Path, Path]
) -> tuple[Releases, TransformReport]:
    """The first build of one release."""
    return built_once(
        tmp_path_factory,
        "first build",
        projects,
        lambda releases: releases.publish("2025-09", balances("2025-09")),
    )


@pytest.fixture
def built(releases: Releases, first_build: tuple[Releases, TransformReport]) -> TransformReport:
    """The report of the first build of 2025-09, of which `releases` has a copy."""
    original, report = first_build
    releases.take_over(original)
    return report


@pytest.fixture
def ask(releases: Releases) -> Callable[[str], list[tuple[object, ...]]]:
    """Query the database with plain DuckDB, as any reader does."""
    return releases.ask
