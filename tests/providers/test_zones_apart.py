"""One zone that does not answer costs that zone: the others are listed, offered and swept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.leftovers import died, intend, remember
from fakes.scaleway_open import NEEDS, offer_of, opened, request
from materia.errors import OrphanError, ProviderError
from materia_providers.list_entries import left_out_of
from materia_runner.cli.commands.machines.sweep import as_json, as_text, exit_code
from materia_runner.ledger.state import State
from materia_runner.rental.lifecycle import destroy
from materia_runner.rental.manual_worker import destroy_worker
from materia_runner.rental.sweep import try_sweep
from materia_scaleway.emulator.service import Scaleway as Cloud
from materia_testing.emulation import Behaviour, Fault

QUICK = timedelta(milliseconds=50)
DOWN = "/instance/v1/zones/nl-ams-1/*"
LINE = "scaleway: nl-ams-1 is left out: cannot list servers in nl-ams-1: "


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(behaviour=Behaviour(boot=QUICK, delete=QUICK)) as cloud:
        yield cloud


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def break_down(cloud: Cloud, path: str = DOWN, error: str = "unavailable") -> None:
    cloud.faults.next("GET", path, Fault(error=error), times=None)


@pytest.mark.parametrize("error", ["unavailable", "server_error", "not_json", "bad_gateway"])
def test_offers_of_the_other_zones_come_with_a_line(cloud: Cloud, error: str) -> None:
    break_down(cloud, error=error)

    found = opened(cloud).offers(NEEDS)

    assert {offer.zone for offer in found} == {"fr-par-1"}
    (line,) = left_out_of(found)
    assert line.startswith("scaleway: nl-ams-1 is left out: cannot list server types in nl-ams-1: ")


def test_a_provider_whose_zones_are_all_down_is_an_error(cloud: Cloud) -> None:
    break_down(cloud, "*")

    with pytest.raises(ProviderError):
        opened(cloud).offers(NEEDS)
    with pytest.raises(ProviderError):
        opened(cloud).list_instances()


@pytest.mark.parametrize("error", ["unavailable", "server_error", "not_json", "not_found"])
def test_a_catalog_that_fails_leaves_the_prices_of_the_types(cloud: Cloud, error: str) -> None:
    cloud.faults.next(*cloud.offers_call, Fault(error=error), times=None)

    provider = opened(cloud)

    assert offer_of(provider, "BASIC3-X2C-8G").hourly.amount == Decimal("0.059225")
    lines = left_out_of(provider.offers(NEEDS))
    assert ("the catalog of fr-par-1 is left out" in str(lines)) == (error != "not_found")


def test_stock_and_volume_prices_that_fail_cost_no_zone(cloud: Cloud) -> None:
    break_down(cloud, "*/availability")
    break_down(cloud, "*/volume-types")

    provider = opened(cloud)
    offer = offer_of(provider, "DEV1-L")

    assert offer.availability == "unknown"
    assert offer.extras[1].read_on is not None
    assert len(left_out_of(provider.offers(NEEDS))) == 4


def test_a_sweep_goes_on_with_the_other_zones_names_the_missing_one_and_fails(
    cloud: Cloud, state: State
) -> None:
    provider = opened(cloud)
    expired = replace(request(offer_of(provider, "DEV1-L")), expires_at=datetime.now(UTC))
    provider.create_instance(expired)
    break_down(cloud)

    swept = try_sweep(provider, name="scaleway", state=state, now=datetime.now(UTC))

    assert [one.instance.name for one in swept.found] == [expired.name]
    assert not swept.left
    assert cloud.still_billed() == []
    (line,) = swept.unseen
    assert line.startswith(LINE)
    assert exit_code([swept], []) == 1
    assert as_json([swept], [], dry_run=False)["not_listed"] == [line]


def test_a_sweep_that_found_nothing_says_where_it_could_look(cloud: Cloud, state: State) -> None:
    break_down(cloud)

    swept = try_sweep(opened(cloud), name="scaleway", state=state, now=datetime.now(UTC))

    assert as_text(swept) == ["scaleway: nothing is left behind where it could be listed"]


def test_a_sweep_writes_nothing_off_that_may_be_in_a_zone_it_could_not_list(
    cloud: Cloud, state: State
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1)
    with state.ledger() as ledger:
        wanted = request(offer_of(opened(cloud), "DEV1-L"))
        intend(ledger, wanted, at=long_ago)
        died(state, wanted.run)
        break_down(cloud)

        swept = try_sweep(opened(cloud), name="scaleway", state=state, now=datetime.now(UTC))

        assert [row.name for row in swept.pending] == [wanted.name]
        assert [row.state for row in ledger.machines()] == ["intent"]


def test_a_machine_is_not_gone_while_its_own_zone_cannot_be_listed(cloud: Cloud) -> None:
    provider = opened(cloud)
    there = provider.create_instance(request(offer_of(provider, "DEV1-L", "nl-ams-1")))
    provider.destroy_instance(there)
    break_down(cloud, f"{DOWN.removesuffix('*')}servers")

    with pytest.raises(OrphanError, match="nl-ams-1"):
        destroy(provider, there, patience=timedelta(seconds=0.3))


def test_a_worker_that_cannot_be_looked_for_everywhere_is_not_said_to_be_gone(
    cloud: Cloud, state: State
) -> None:
    break_down(cloud)

    with pytest.raises(ProviderError, match="nl-ams-1 is left out"):
        destroy_worker(opened(cloud), "materia-w1", state=state)


def test_a_machine_of_another_zone_is_destroyed_as_ever(cloud: Cloud, state: State) -> None:
    provider = opened(cloud)
    wanted = request(offer_of(provider, "DEV1-L"))
    with state.ledger() as ledger:
        remember(ledger, wanted, provider.create_instance)
    break_down(cloud)

    destroy(provider, provider.list_instances()[0], patience=timedelta(seconds=2))

    assert cloud.still_billed() == []


@pytest.mark.parametrize("asked", ["FR-PAR", "Fr-Par-1"])
def test_a_region_or_a_zone_is_found_however_it_is_written(cloud: Cloud, asked: str) -> None:
    found = opened(cloud).offers(replace(NEEDS, regions=(asked,)))

    assert {offer.zone for offer in found} == {"fr-par-1"}
