"""A worker that is destroyed by hand while its provider's list may not show it yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.graveyard import Graveyard
from fakes.rentals import BY_THE_HOUR
from fakes.rows import OFFER, machine_row, run_row
from materia.errors import ProviderError
from materia_runner.ledger.state import State
from materia_runner.rental.manual_worker import destroy_worker

GRAVEYARD = replace(OFFER, provider="graveyard")


@pytest.mark.parametrize("young", [True, False])
def test_an_entry_stays_open_while_the_list_may_be_behind(tmp_path: Path, *, young: bool) -> None:
    state = State(tmp_path / "state")
    settings = {"delay": "0", "failure": ""}
    provider = Graveyard("graveyard", settings, {}, BY_THE_HOUR, folder=tmp_path / "graves")
    asked = datetime.now(UTC) - (timedelta(0) if young else timedelta(hours=1))
    with state.ledger() as ledger:
        ledger.begin_run(run_row(at=asked))
        ledger.intend_machine(machine_row(at=asked, offer=GRAVEYARD))
        ledger.machine_created("m", id="id-m", region="north", created_at=asked, at=asked)

        if young:
            with pytest.raises(ProviderError, match="it may still appear: destroy it again after"):
                destroy_worker(provider, "m", state=state)
        else:
            assert destroy_worker(provider, "m", state=state) is not None

        assert [row.state for row in ledger.machines()] == ["destroying" if young else "gone"]
