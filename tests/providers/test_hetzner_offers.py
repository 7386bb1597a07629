"""Offers of the hetzner plugin: types, locations, prices, and what is charged in the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fakes.hetzner_open import offer_of, opened
from fakes.recorded import recorded
from fakes.renting import request_for
from materia.compute import Offer, Requirements
from materia.errors import NoOfferError
from materia_hetzner.emulator.service import Hetzner as Cloud
from materia_hetzner.offers import read_offers
from materia_hetzner.settings import read_settings
from materia_runner.pricing.cost import cost
from materia_testing.emulation import Behaviour, Clock

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def server_type(**changes: Any) -> dict[str, Any]:
    price = {
        "location": "fsn1",
        "price_hourly": {"net": "0.0689000000", "gross": "0.0819910000000000"},
        "price_monthly": {"net": "42.9900000000", "gross": "51.1581000000000000"},
        "included_traffic": 21990232555520,
        "price_per_tb_traffic": {"net": "1.0000000000", "gross": "1.1900000000000000"},
    }
    place = {"id": 1, "name": "fsn1", "deprecation": None, "available": True, "recommended": True}
    return {
        "id": 96,
        "name": "ccx13",
        "cores": 2,
        "memory": 8.0,
        "disk": 80,
        "cpu_type": "dedicated",
        "architecture": "x86",
        "prices": [price],
        "locations": [place],
        **changes,
    }


PRICING: dict[str, Any] = {
    "currency": "EUR",
    "vat_rate": "19.000000",
    "primary_ips": [
        {
            "type": kind,
            "prices": [
                {
                    "location": "fsn1",
                    "price_hourly": {"net": net, "gross": "9"},
                    "price_monthly": {"net": "0.5", "gross": "9"},
                }
            ],
        }
        for kind, net in (("ipv6", "0.0000000000"), ("ipv4", "0.0008000000"))
    ],
}


def read(*types: Mapping[str, Any]) -> list[Offer]:
    return list(read_offers(types, PRICING, source="https://api.hetzner.cloud/v1", now=NOW))


def test_an_offer_has_the_net_prices_of_its_location_and_the_address_beside_it() -> None:
    (offer,) = read(server_type())

    assert offer.hourly.amount == Decimal("0.0689")
    assert offer.monthly_cap is not None
    assert offer.monthly_cap.amount == Decimal("42.99")
    assert [extra.hourly.amount for extra in offer.extras] == [Decimal("0.0008")]
    assert offer.extras[0].monthly_cap is not None
    assert offer.extras[0].monthly_cap.amount == Decimal("0.50")
    assert (offer.vcpus, offer.memory_gib, offer.disk_gib) == (2, Decimal(8), 80)
    assert (offer.cpu, offer.architecture, offer.availability) == (
        "dedicated",
        "x86_64",
        "available",
    )
    assert offer.egress_included_gib == 20 * 1024
    assert offer.egress_per_gib is not None
    assert offer.egress_per_gib.amount * 1024 == 1


@pytest.mark.parametrize(
    ("place", "availability", "retires_on"),
    [
        ({"available": True, "deprecation": None}, "available", None),
        ({"available": False, "deprecation": None}, "unavailable", None),
        ({"deprecation": None}, "unknown", None),
        (
            {"available": True, "deprecation": {"unavailable_after": "2026-12-31T00:00:00Z"}},
            "available",
            date(2026, 12, 31),
        ),
        (
            {"available": True, "deprecation": {"unavailable_after": "2026-01-01T00:00:00+00:00"}},
            "unavailable",
            date(2026, 1, 1),
        ),
    ],
)
def test_availability_and_retirement_are_those_of_the_location(
    place: dict[str, Any], availability: str, retires_on: date | None
) -> None:
    (offer,) = read(server_type(locations=[{"id": 1, "name": "fsn1", **place}]))

    assert (offer.availability, offer.retires_on) == (availability, retires_on)


def test_a_location_that_has_a_price_and_no_longer_the_type_is_no_offer() -> None:
    assert read(server_type(locations=[{"id": 2, "name": "nbg1", "available": True}])) == []


def test_types_with_a_processor_nobody_builds_for_are_left_out() -> None:
    assert read(server_type(architecture="riscv")) == []


def test_types_recorded_before_availability_was_published_are_read_as_unknown() -> None:
    types = recorded("hetzner/spec-examples/GET_server_types.json")["server_types"]
    pricing = recorded("hetzner/spec-examples/GET_pricing.json")["pricing"]

    (offer,) = read_offers(types, pricing, source="s", now=NOW)

    assert offer.hourly.amount == 1
    assert offer.retires_on == date(2023, 9, 1)
    assert offer.availability == "unavailable"


def spoilt(change: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A second type with one field of it, or of its first price, set to *value*."""
    kind: dict[str, Any] = json.loads(json.dumps(server_type(name="odd")))
    *path, last = change
    inner: Any = kind
    for step in path:
        inner = inner[0] if step == "0" else inner[step]
    inner[last] = value
    return kind


@pytest.mark.parametrize("value", [None, "", [], {}, -1, 0, 10**30, "many", float("nan")])
@pytest.mark.parametrize(
    "change",
    [
        ("memory",),
        ("cores",),
        ("disk",),
        ("architecture",),
        ("prices", "0", "price_hourly"),
        ("prices", "0", "price_hourly", "net"),
        ("prices", "0", "price_monthly"),
        ("prices", "0", "price_monthly", "net"),
        ("prices", "0", "location"),
    ],
)
def test_a_type_that_cannot_be_read_costs_that_type_alone(
    change: tuple[str, ...], value: Any
) -> None:
    found = read_offers([spoilt(change, value), server_type()], PRICING, source="s", now=NOW)

    assert [offer.instance_type for offer in found] == ["ccx13"]
    if value != "many" or change[-1] not in {"architecture", "location"}:  # of others' making
        (line,) = found.left_out
        assert line.startswith("hetzner: the type odd")


@pytest.mark.parametrize("field", ["memory", "cores", "disk", "cpu_type", "name", "architecture"])
def test_a_type_without_a_field_costs_that_type_alone(field: str) -> None:
    odd = server_type()
    del odd[field]

    found = read_offers([odd, 7, None, server_type()], PRICING, source="s", now=NOW)

    assert [offer.instance_type for offer in found] == ["ccx13"]
    assert f"is left out: it has no {field}" in found.left_out[0]


@pytest.mark.parametrize("net", [None, "0", "-1", "free", "Infinity", 0.0008])
def test_a_location_whose_address_has_no_price_is_left_out(net: Any) -> None:
    pricing = json.loads(json.dumps(PRICING))
    addresses = pricing["primary_ips"][1]["prices"]
    addresses.append({**addresses[0], "location": "hel1", "price_hourly": {"net": net}})
    prices = [{**server_type()["prices"][0], "location": place} for place in ("fsn1", "hel1")]
    kind = server_type(prices=prices, locations=[])

    found = read_offers([kind], pricing, source="s", now=NOW)

    assert [offer.region for offer in found] == ["fsn1"]
    assert any("IPv4 address in hel1 is left out" in line for line in found.left_out)


def test_traffic_that_has_no_price_is_not_free() -> None:
    price = {**server_type()["prices"][0], "price_per_tb_traffic": None}

    (offer,) = read(server_type(prices=[price]))

    with pytest.raises(ValueError, match="no price known above 0 GiB"):
        cost(offer, timedelta(hours=1), egress_gib=Decimal(1))


def test_every_page_of_the_server_types_is_read(cloud: Cloud) -> None:
    provider = opened(cloud)

    provider.offers(Requirements())

    types = {offer.instance_type for offer in provider.offers(Requirements())}
    assert {"cx22", "ccx33", "cax31"} <= types


def test_a_region_of_the_settings_that_is_no_location_is_an_error_that_names_the_known(
    cloud: Cloud,
) -> None:
    settings = replace(read_settings(cloud.settings()), regions=("fsn1", "muc1"))

    with pytest.raises(NoOfferError, match=r"muc1.*known: ash, fsn1, hel1, nbg1, sin"):
        opened(cloud, settings).offers(Requirements())


def test_only_the_regions_of_the_settings_are_offered(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), regions=("HEL1",))

    assert {offer.region for offer in opened(cloud, settings).offers(Requirements())} == {"hel1"}


@pytest.mark.parametrize("minutes", [1, 59, 60, 61, 119, 121, 24 * 60, 31 * 24 * 60, 40 * 24 * 60])
def test_what_is_charged_is_what_was_quoted(minutes: int) -> None:
    clock = Clock(speed=0, start=datetime(2026, 10, 1, tzinfo=UTC))
    instant = Behaviour(boot=timedelta(0), delete=timedelta(0))
    with Cloud(clock=clock, behaviour=instant) as cloud:
        provider = opened(cloud)
        offer = offer_of(provider)
        instance = provider.create_instance(request_for(offer))
        clock.advance(timedelta(minutes=minutes))
        provider.destroy_instance(instance)

        charged = cloud.billed()["EUR"]

    quote = cost(offer, timedelta(minutes=minutes), datetime(2026, 10, 1, tzinfo=UTC))
    assert charged == quote.cost.amount
