"""Offers of the scaleway plugin: types, zones, stock, and what is charged in the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes.scaleway_open import NEEDS, offer_of, opened, request
from materia import Opening
from materia.errors import NoOfferError
from materia_providers.list_entries import left_out_of
from materia_runner.pricing.cost import cost
from materia_scaleway import materia_providers
from materia_scaleway.emulator.service import Scaleway as Cloud
from materia_testing.emulation import Clock, Fault
from materia_testing.emulation.exchange import Answer, Request


def test_prices_are_exact_to_the_last_digit_of_the_catalog(cloud: Cloud) -> None:
    offer = offer_of(opened(cloud), "BASIC3-X2C-8G")

    assert Decimal("0.059225") == offer.hourly.amount
    assert offer.hourly.currency == "EUR"


def test_address_and_volume_are_billed_beside_the_instance(cloud: Cloud) -> None:
    address, volume = offer_of(opened(cloud), "DEV1-L").extras

    assert address.hourly.amount == Decimal("0.004")
    assert address.minimum is not None
    assert address.minimum.amount == Decimal("0.01")
    # 20 GiB are 21.5 GB, and volumes are sold by the whole GB.
    assert volume.hourly.amount == 22 * Decimal("0.000118")
    assert volume.source.startswith(cloud.url)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (10, Decimal("0.04284") + Decimal("0.01") + Decimal("0.002596")),
        (60, Decimal("0.04284") + Decimal("0.01") + Decimal("0.002596")),
        (61, 2 * Decimal("0.04284") + Decimal("0.01") + 2 * Decimal("0.002596")),
        (240, 4 * Decimal("0.04284") + Decimal("0.016") + 4 * Decimal("0.002596")),
    ],
)
def test_a_job_costs_started_hours_of_each_of_the_three(
    cloud: Cloud, minutes: int, expected: Decimal
) -> None:
    offer = offer_of(opened(cloud), "DEV1-L")

    assert cost(offer, timedelta(minutes=minutes)).cost.amount == expected


def test_the_bill_is_what_was_predicted() -> None:
    with Cloud(clock=Clock(speed=0)) as cloud:
        cloud.behaviour.delete = timedelta(0)
        provider = opened(cloud)
        offer = offer_of(provider, "DEV1-L")
        made = provider.create_instance(request(offer))
        cloud.clock.advance(timedelta(minutes=75))
        provider.destroy_instance(made)

        predicted = cost(offer, timedelta(minutes=75)).cost

        assert cloud.billed() == {"EUR": predicted.amount}


def test_stock_is_part_of_an_offer(cloud: Cloud) -> None:
    cloud.behaviour.sold_out = frozenset({"DEV1-L"})
    provider = opened(cloud)

    assert offer_of(provider, "DEV1-L").availability == "unavailable"
    assert offer_of(provider, "PRO2-XXS").availability == "available"
    assert offer_of(provider, "BASIC2-A2C-8G").availability == "scarce"


def test_retired_types_and_windows_types_are_no_offers(cloud: Cloud) -> None:
    names = {offer.instance_type for offer in opened(cloud).offers(NEEDS)}

    assert "DEV1-L" in names
    assert not names & {"ENT1-S", "POP2-2C-8G-WIN"}


def test_a_type_that_will_be_retired_says_when(cloud: Cloud) -> None:
    retires_on = offer_of(opened(cloud), "PLAY2-MICRO").retires_on

    assert retires_on == datetime(2027, 6, 30, tzinfo=UTC).date()


def test_the_catalog_says_whether_a_processor_is_shared(cloud: Cloud) -> None:
    provider = opened(cloud)

    assert offer_of(provider, "POP2-2C-8G").cpu == "dedicated"
    assert offer_of(provider, "PRO2-XXS").cpu == "shared"
    assert offer_of(provider, "GP1-XS").cpu == "shared"  # by its range: the catalog is silent
    assert offer_of(provider, "BASIC3-X2C-8G").cpu == "unknown"


def test_pages_are_walked_to_the_end(cloud: Cloud) -> None:
    whole = opened(cloud).offers(NEEDS)
    cloud.page_limit = 3

    paged = opened(cloud).offers(NEEDS)

    assert [one.instance_type for one in paged] == [one.instance_type for one in whole]


@pytest.mark.parametrize(("asked", "zones"), [("fr-par", {"fr-par-1"}), ("nl-ams-1", {"nl-ams-1"})])
def test_a_region_and_a_zone_can_be_asked_for(cloud: Cloud, asked: str, zones: set[str]) -> None:
    offers = opened(cloud).offers(replace(NEEDS, regions=(asked,)))

    assert {offer.zone for offer in offers} == zones
    assert not [one for one in cloud.exchanges if "nl-ams-1" in one.target and asked == "fr-par"]


def test_a_region_that_is_not_in_use_is_no_offer(cloud: Cloud) -> None:
    with pytest.raises(
        NoOfferError, match="no configured zone is in pl-waw; in use: fr-par-1, nl-ams-1"
    ):
        opened(cloud).offers(replace(NEEDS, regions=("pl-waw",)))


def test_a_catalog_that_is_gone_leaves_the_prices_of_the_types(cloud: Cloud) -> None:
    cloud.faults.next(*cloud.offers_call, Fault(error="not_found"), times=None)

    assert offer_of(opened(cloud), "BASIC3-X2C-8G").hourly.amount == Decimal("0.059225")


def test_without_credentials_the_catalog_still_answers(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    assert plugin.public_offers is not None
    keyless = Opening(secrets={}, settings=cloud.settings(), directory=Path())

    offers = plugin.public_offers(keyless, NEEDS)

    assert {offer.availability for offer in offers} == {"unknown"}
    assert {offer.zone for offer in offers} == {"fr-par-1", "nl-ams-1"}
    names = {offer.instance_type for offer in offers}
    assert "DEV1-L" in names
    assert "ENT1-S" not in names
    assert {one.status for one in cloud.exchanges} == {200}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hourly_price", 0),
        ("hourly_price", -0.04),
        ("hourly_price", "0.04"),
        ("hourly_price", 1e12),
        ("hourly_price", 0.0001),  # the catalog says another price
        ("ram", None),
        ("ram", 0),
        ("ncpus", None),
        ("ncpus", "4"),
        ("arch", None),
        ("capabilities", 7),
    ],
)
def test_a_type_that_cannot_be_read_costs_that_type_alone(
    cloud: Cloud, field: str, value: object
) -> None:
    def spoil(_: Request, answer: Answer) -> Answer:
        body: Any = answer.body
        if "DEV1-L" in body["servers"]:
            body["servers"]["DEV1-L"][field] = value
        return answer

    whole = {one.instance_type for one in opened(cloud).offers(NEEDS)}
    cloud.faults.next("GET", "*/products/servers", Fault(alter=spoil), times=None)
    found = opened(cloud).offers(NEEDS)

    assert {one.instance_type for one in found} == whole - {"DEV1-L"}
    assert any("DEV1-L in fr-par-1 is left out" in line for line in left_out_of(found))


@pytest.mark.parametrize("value", [None, "missing"])
def test_a_type_whose_price_only_the_catalog_has_is_offered_at_that(
    cloud: Cloud, value: object
) -> None:
    def spoil(_: Request, answer: Answer) -> Answer:
        body: Any = answer.body
        kind = body["servers"].get("DEV1-L")
        if kind is not None and value is None:
            kind["hourly_price"] = None
        elif kind is not None:
            del kind["hourly_price"]
        return answer

    cloud.faults.next("GET", "*/products/servers", Fault(alter=spoil), times=None)

    assert offer_of(opened(cloud), "DEV1-L").hourly.amount == Decimal("0.04284")


def test_a_type_without_any_price_is_no_offer(cloud: Cloud) -> None:
    def spoil(_: Request, answer: Answer) -> Answer:
        body: Any = answer.body
        for kind in body["servers"].values():
            kind["hourly_price"] = None
        return answer

    cloud.faults.next("GET", "*/products/servers", Fault(alter=spoil), times=None)
    cloud.faults.next(*cloud.offers_call, Fault(error="not_found"), times=None)

    with pytest.raises(NoOfferError, match="its hourly price is missing"):
        opened(cloud).offers(NEEDS)


def test_prices_that_the_code_knows_are_dated_when_they_were_read(cloud: Cloud) -> None:
    offer = offer_of(opened(cloud), "DEV1-L")

    machine, address, volume = cost(offer, timedelta(hours=1)).lines

    assert (machine.read_on, volume.read_on) == (None, None)
    assert address.read_on == date(2026, 11, 23)
    assert address.as_of == datetime(2026, 11, 23, tzinfo=UTC)
    assert address.source == address.rule_source
    assert "ip-billing" in address.rule_source
