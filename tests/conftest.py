from __future__ import annotations

from pathlib import Path

import pytest
from fakes.workshop import Workshop


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
