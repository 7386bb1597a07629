"""Offers of the ovh plugin: flavors, plans, currencies, and what is charged in the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes.ovh_catalog import NOW, addon, flavor, read
from fakes.ovh_open import offer_of, opened
from fakes.recorded import recorded
from fakes.renting import request_for
from materia import Opening
from materia.compute import Requirements
from materia.errors import NoOfferError, ProviderError
from materia_ovh import public_offers
from materia_ovh.emulator.service import Ovh as Cloud
from materia_ovh.offers import read_offers, read_public_offers
from materia_ovh.settings import read_settings
from materia_runner.pricing.cost import cost
from materia_testing.emulation import Behaviour, Clock, Fault
from materia_testing.emulation.exchange import Answer, Request


def test_a_flavor_has_the_price_of_its_plan_to_the_last_digit() -> None:
    (offer,) = read([flavor()], addon(price=5_760_123))

    assert offer.hourly.amount == Decimal("0.05760123")
    assert (offer.vcpus, offer.memory_gib, offer.disk_gib) == (2, Decimal(8), 50)
    assert (offer.cpu, offer.availability, offer.region) == ("dedicated", "available", "GRA11")
    assert offer.extras == ()
    assert offer.billing.alignment == "clock"
    assert offer.billing.meter_from == "active"


@pytest.mark.parametrize(
    ("changes", "availability"),
    [
        ({"available": True, "quota": 3}, "available"),
        ({"available": True}, "available"),
        ({"available": False, "quota": 3}, "unavailable"),
        ({"available": False, "quota": 0}, "unavailable"),
        ({"available": True, "quota": 0}, "no_quota"),
        ({"available": None, "quota": None}, "unknown"),
    ],
)
def test_availability_is_stock_and_then_quota(changes: dict[str, Any], availability: str) -> None:
    (offer,) = read([flavor(**changes)])

    assert offer.availability == availability


@pytest.mark.parametrize(
    ("ram", "size", "gib"),
    [(8, 8, 8), (8192, 8, 8), (7, 7, 7), (7168, 7, 7), (760, 760, 760), (7, None, 7), (2000, 2, 2)],
)
def test_memory_is_read_in_either_unit(ram: int, size: int | None, gib: int) -> None:
    plan = addon()
    plan["blobs"]["technical"]["memory"] = {"size": size} if size else None

    (offer,) = read([flavor(ram=ram)], plan)

    assert abs(offer.memory_gib - gib) < Decimal("0.1")


def test_a_discovery_flavor_is_shared_and_one_of_no_family_unknown() -> None:
    shared, unknown = addon(), addon()
    shared["blobs"]["commercial"]["brickSubtype"] = "discovery"
    del unknown["blobs"]["commercial"]

    assert read([flavor()], shared)[0].cpu == "shared"
    assert read([flavor()], unknown)[0].cpu == "unknown"


def test_windows_and_what_has_no_price_by_the_hour_are_left_out() -> None:
    monthly = addon()
    monthly["pricings"] = monthly["pricings"][:1]

    assert read([flavor(osType="windows")]) == []
    assert read([flavor(planCodes={"hourly": None})]) == []
    assert read([flavor()], monthly) == []


def test_a_region_of_three_zones_has_the_price_of_its_own_plan() -> None:
    plans = {"hourly": "b3-8.consumption.3AZ"}
    found = read([flavor(planCodes=plans)], addon(), addon("b3-8.consumption.3AZ", 6_700_000))

    assert [offer.hourly.amount for offer in found] == [Decimal("0.067")]


def test_traffic_out_costs_in_asia_and_nowhere_else() -> None:
    europe, asia = read([flavor(), flavor(region="SGP1")])

    assert (europe.egress_included_gib, europe.egress_per_gib) == (None, None)
    assert asia.egress_included_gib == 1024
    assert asia.egress_per_gib is not None
    assert asia.egress_per_gib.amount == Decimal("0.01")


def test_the_catalog_alone_gives_offers_without_availability() -> None:
    catalog = {
        "locale": {"currencyCode": "EUR"},
        "addons": [
            addon(),
            addon("b3-8.consumption.3AZ", 9),
            addon("b3-8.monthly.postpaid", 9),
            addon("volume.classic.consumption", 9, product="publiccloud-volume"),
        ],
    }

    (offer,) = read_public_offers(catalog, source="s", now=NOW)

    assert offer.hourly.amount == Decimal("0.0576")
    assert (offer.availability, offer.region) == ("unknown", "any region")
    assert offer.memory_gib == 8


def test_the_shape_that_others_describe_is_read() -> None:
    catalog = recorded("ovh/catalog-shape.constructed.json")

    (offer,) = read_public_offers(catalog, source="s", now=NOW)

    assert (offer.instance_type, offer.hourly.amount) == ("b3-8", Decimal("0.0576"))


@pytest.mark.parametrize(
    ("continent", "asked", "given"),
    [
        ("eu", "EUR", "EUR"),
        ("eu", "GBP", "GBP"),
        ("eu", "PLN", "PLN"),
        ("eu", "USD", "EUR"),
        ("eu", "CAD", "EUR"),
        ("eu", "INR", "EUR"),
        ("ca", "EUR", "USD"),
        ("ca", "CAD", "CAD"),
        ("ca", "USD", "USD"),
        ("us", "EUR", "USD"),
    ],
)
def test_prices_come_in_the_currency_asked_for_or_in_one_that_the_api_has(
    continent: str, asked: str, given: str
) -> None:
    with Cloud(continent=continent) as cloud:
        offers = opened(cloud).offers(Requirements(currency=asked))

    assert {offer.hourly.currency for offer in offers} == {given}


def test_a_subsidiary_that_is_refused_is_told_in_the_words_of_the_api_with_the_remedy(
    cloud: Cloud,
) -> None:
    settings = replace(read_settings(cloud.settings()), subsidiary="CA")

    with pytest.raises(ProviderError) as caught:
        opened(cloud, settings).offers(Requirements())

    assert str(caught.value).endswith(
        "ovhSubsidiary=CA: HTTP 400: invalid ovhSubsidiary; tried CA; set "
        "providers.ovh.subsidiary to one that the API at providers.ovh.api_url serves, or "
        "providers.ovh.api_url to the API that serves yours"
    )


def test_a_catalog_in_another_currency_than_its_subsidiarys_is_not_believed(cloud: Cloud) -> None:
    def spoil(_: Request, answer: Answer) -> Answer:
        assert isinstance(answer.body, dict)
        return replace(answer, body={**answer.body, "locale": {"currencyCode": "INR"}})

    cloud.faults.next(*cloud.offers_call, Fault(alter=spoil), times=None)

    with pytest.raises(ProviderError, match="they are in INR, and IE quotes in EUR"):
        opened(cloud).offers(Requirements())


@pytest.mark.parametrize("currency", ["GBP", "PLN"])
def test_traffic_out_of_asia_is_free_in_no_currency(cloud: Cloud, currency: str) -> None:
    offers = opened(cloud).offers(Requirements(currency=currency))
    asia = next(one for one in offers if one.region == "SGP1" and one.instance_type == "b3-8")

    assert cost(asia, timedelta(hours=1), egress_gib=Decimal(1024)).cost.amount > 0
    with pytest.raises(ValueError, match="no price known above 1024 GiB"):
        cost(asia, timedelta(hours=1), egress_gib=Decimal(2000))


def test_a_price_that_the_code_knows_is_dated_when_it_was_read() -> None:
    (asia,) = read([flavor(region="SGP1")])

    (traffic,) = [
        line
        for line in cost(asia, timedelta(hours=1), egress_gib=Decimal(2000)).lines
        if line.name == "traffic out"
    ]

    assert traffic.read_on == date(2026, 11, 23)
    assert f"{traffic.as_of:%Y-%m-%d}" == "2026-11-23"


@pytest.mark.parametrize(
    "price",
    [None, 0, -5_760_000, "5760000", [], {}, True, 1, 10**30, float("nan"), float("inf")],
)
def test_a_price_that_cannot_be_costs_its_plan_alone(price: Any) -> None:
    odd = addon("c3-4.consumption", price)
    catalog = {"locale": {"currencyCode": "EUR"}, "addons": [odd, addon()]}
    flavors = [flavor(), flavor(name="c3-4", planCodes={"hourly": "c3-4.consumption"})]

    for found in (
        read_offers(catalog, flavors, source="s", now=NOW),
        read_public_offers(catalog, source="s", now=NOW),
    ):
        assert [one.instance_type for one in found] == ["b3-8"]
        (line,) = found.left_out
        assert line.startswith("ovh: the plan c3-4.consumption is left out: its price is ")


@pytest.mark.parametrize(
    "changes",
    [
        {"ram": None},
        {"ram": "8"},
        {"ram": 64},
        {"vcpus": None},
        {"vcpus": 0},
        {"vcpus": 2.5},
        {"disk": None},
        {"disk": 0},
        {"region": None},
        {"name": 7},
        {"planCodes": "b3-8.consumption"},
        {"planCodes": {"hourly": []}},
    ],
)
def test_a_flavor_that_cannot_be_read_costs_that_flavor_alone(changes: dict[str, Any]) -> None:
    catalog = {"locale": {"currencyCode": "EUR"}, "addons": [addon()]}

    found = read_offers(catalog, [flavor(**changes), flavor(region="SBG5")], source="s", now=NOW)

    assert [one.region for one in found] == ["SBG5"]
    assert len(found.left_out) == 1


@pytest.mark.parametrize("named", ["GRA11", "gra11"])
def test_without_credentials_a_region_with_one_zone_has_the_prices_of_all(
    cloud: Cloud, tmp_path: Path, named: str
) -> None:
    opening = Opening(secrets={}, settings={"api_url": f"{cloud.url}/1.0"}, directory=tmp_path)

    offers = public_offers(opening, Requirements(regions=(named, "fsn1")))

    assert {offer.region for offer in offers} == {"GRA11"}
    with pytest.raises(NoOfferError, match="no separate prices for fsn1"):
        public_offers(opening, Requirements(regions=("fsn1",)))


def test_a_region_of_the_settings_is_found_however_it_is_written(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), regions=("gra11",))

    assert {one.region for one in opened(cloud, settings).offers(Requirements())} == {"GRA11"}


def test_a_subsidiary_in_the_settings_decides_the_currency(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), subsidiary="GB")

    offers = opened(cloud, settings).offers(Requirements(currency="EUR"))

    assert {offer.hourly.currency for offer in offers} == {"GBP"}


def test_the_catalog_is_read_without_credentials(cloud: Cloud, tmp_path: Path) -> None:
    settings = {"api_url": f"{cloud.url}/1.0"}
    opening = Opening(secrets={}, settings=settings, directory=tmp_path)

    offers = public_offers(opening, Requirements())

    assert {offer.instance_type for offer in offers} >= {"b3-8", "c3-4", "d2-4"}
    assert all(offer.availability == "unknown" for offer in offers)
    assert [exchange.path for exchange in cloud.exchanges] == ["/1.0/order/catalog/public/cloud"]


@pytest.mark.parametrize("error", ["server_error", "bad_gateway", "not_json", "rate_limit"])
def test_a_catalog_that_cannot_be_read_is_an_error(
    cloud: Cloud, tmp_path: Path, error: str
) -> None:
    opening = Opening(secrets={}, settings={"api_url": f"{cloud.url}/1.0"}, directory=tmp_path)
    cloud.faults.next("GET", "*", Fault(error=error))

    with pytest.raises(ProviderError, match="cannot read the prices"):
        public_offers(opening, Requirements())


def test_a_region_that_is_not_active_is_an_error_that_names_the_active(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), regions=("GRA11", "WAW1"))

    with pytest.raises(NoOfferError, match=r"WAW1.*active: BHS5, EU-WEST-PAR, GRA11, SBG5, SGP1"):
        opened(cloud, settings).offers(Requirements())


@pytest.mark.parametrize("minutes", [1, 30, 59, 60, 61, 121, 198 * 60 + 50])
def test_every_clock_hour_from_active_to_delete_is_charged(minutes: int) -> None:
    start = datetime(2026, 10, 4, 9, 40, tzinfo=UTC)
    clock = Clock(speed=0, start=start)
    instant = Behaviour(boot=timedelta(0), delete=timedelta(0))
    with Cloud(clock=clock, behaviour=instant) as cloud:
        provider = opened(cloud)
        offer = offer_of(provider)
        instance = provider.create_instance(request_for(offer))
        clock.advance(timedelta(minutes=minutes))
        provider.destroy_instance(instance)

        charged = cloud.billed()["EUR"]

    touched = -(-(40 + minutes) // 60)  # from 09:40
    assert charged == Decimal("0.0576") * touched
    assert cost(offer, timedelta(minutes=minutes), start).cost.amount >= charged
