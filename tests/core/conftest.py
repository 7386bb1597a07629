from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.rows import run_row
from materia_runner.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with one run."""
    with Ledger(tmp_path / "ledger.db") as opened:
        opened.begin_run(run_row())
        yield opened
