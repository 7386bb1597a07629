from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes.psd import ALL
from fakes.psd_world import asked
from fakes.usda import UsdaServer
from materia.data import FetchRequest, FetchResult, Known
from materia_http.download import Patience

if TYPE_CHECKING:  # the tests of another source run without this one
    from materia_psdonline.source import PsdOnline

# As much as a test can bear; what is waited for is the same.
BRIEF = Patience(first_wait=0.02, longest_wait=3, connect=2, silence=0.3)


@pytest.fixture
def usda() -> Iterator[UsdaServer]:
    """A running server without any file."""
    with UsdaServer() as server:
        yield server


@pytest.fixture
def open_source(tmp_path: Path) -> Callable[..., PsdOnline]:
    """Open the source at an address, with settings that differ from the defaults."""
    from materia_psdonline.settings import read_settings
    from materia_psdonline.source import PsdOnline

    def open_at(base_url: str, patience: Patience = BRIEF, **settings: object) -> PsdOnline:
        given = {"first_release": "2025-06", "files": (ALL,), **settings}
        return PsdOnline(
            read_settings({"base_url": base_url, **given}, directory=tmp_path), patience
        )

    return open_at


@pytest.fixture
def source(usda: UsdaServer, open_source: Callable[..., PsdOnline]) -> PsdOnline:
    """The source on the server."""
    return open_source(usda.base_url)


@pytest.fixture
def fetch(source: PsdOnline, tmp_path: Path) -> Callable[..., FetchResult]:
    """Fetch one release into the folder `in`."""

    def fetch_one(
        month: str = "2025-11",
        known: Known | None = None,
        received: Callable[[int], None] = lambda _: None,
    ) -> FetchResult:
        partition = next(one for one in asked(source) if one.key == f"{month}/psd_alldata")
        directory = tmp_path / "in"
        directory.mkdir(exist_ok=True)
        return source.fetch(
            FetchRequest(partition=partition, known=known, directory=directory, received=received)
        )

    return fetch_one
