from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
from fakes.workshop import Workshop

# No test is timed: a machine may be busy.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A folder to run the command line in, with the bundled plugins and no others."""
    return Workshop(tmp_path)


@pytest.fixture
def folders(workshop: Workshop) -> Workshop:
    """A workshop whose pipeline reads the folder `in` and publishes to the folder `out`."""
    workshop.install("folder", "fakes.folder")
    workshop.write("materia.toml", 'source = "folder"\nsink = "folder"\n')
    workshop.write("in/2024-01.csv", "apples,1\npears,2\n")
    workshop.write("in/2024-02.csv", "apples,3\n")
    return workshop


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: tests wait half of their time, for servers, machines and processes."""
    return 2 * (os.cpu_count() or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--live",
        action="store_true",
        help="also run the tests that rent real machines, where credentials are set",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--live"):
        return
    live = [item for item in items if item.get_closest_marker("live")]
    if live:
        config.hook.pytest_deselected(items=live)
        items[:] = [item for item in items if item not in live]
