from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
from fakes.releases import Releases
from materia.transform import TransformReport, TransformRequest, transform

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "transform" / "sqlmesh_materia"
SOURCE = ROOT / "plugins/sources/psdonline/src/materia_psdonline/models"

Build = Callable[..., TransformReport]


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """A raw layer with nothing in it yet."""
    return Releases(tmp_path)


@pytest.fixture
def build(releases: Releases) -> Build:
    """Load what was published since the last time, and build the models of the workspace."""

    def build(
        affected: tuple[date, ...] | None = None, projects: tuple[Path, ...] = (PROJECT, SOURCE)
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


@pytest.fixture
def ask(releases: Releases) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Query the database with plain DuckDB, as any reader does."""

    def ask(sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(releases.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    return ask
