"""Offers of the oracle plugin: shapes, domains, stock, and what is charged in the end."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.oracle_open import E4, NEEDS, offer_of, opened, request
from materia.errors import NoOfferError
from materia_oracle.emulator.service import Oracle as Cloud
from materia_providers.list_entries import left_out_of
from materia_runner.pricing.cost import cost
from materia_testing.emulation import Clock, Fault
from materia_testing.emulation.exchange import Answer, Request


def test_a_shape_is_offered_in_the_domains_that_have_it(cloud: Cloud) -> None:
    offers = opened(cloud).offers(NEEDS)
    zones = {
        name: [one.zone[-1] for one in offers if one.instance_type == name]
        for name in (E4, "VM.Standard.E6.Flex", "VM.Standard.A1.Flex")
    }

    assert list(zones.values()) == [["1", "2", "3"], ["1", "3"], ["2"]]
    assert {one.region for one in offers} == {"eu-frankfurt-1"}


def test_shapes_without_a_price_and_shapes_for_free_are_no_offers(cloud: Cloud) -> None:
    names = {offer.instance_type for offer in opened(cloud).offers(NEEDS)}

    assert "VM.Standard2.2" in names  # a fixed shape: its memory is in the price
    assert not names & {"VM.Standard.E2.1.Micro", "BM.Standard.E4.128"}


def test_stock_is_what_the_capacity_report_says(cloud: Cloud) -> None:
    cloud.behaviour.sold_out = frozenset({E4})
    provider = opened(cloud)

    assert offer_of(provider, E4).availability == "unavailable"
    assert offer_of(provider, "VM.Standard.E5.Flex").availability == "available"


def test_an_account_that_may_not_ask_for_capacity_still_sees_prices(cloud: Cloud) -> None:
    cloud.faults.next("POST", "*/computeCapacityReports", Fault(error="not_found"), times=None)

    assert offer_of(opened(cloud), E4).availability == "unknown"


def test_pages_are_walked_to_the_end(cloud: Cloud) -> None:
    whole = opened(cloud).offers(NEEDS)
    cloud.page_limit = 2

    paged = opened(cloud).offers(NEEDS)

    assert [one.instance_type for one in paged] == [one.instance_type for one in whole]


@pytest.mark.parametrize("asked", ["eu-frankfurt-1", "Emul:EU-FRANKFURT-1-AD-2"])
def test_a_region_and_a_domain_can_be_asked_for(cloud: Cloud, asked: str) -> None:
    offers = opened(cloud).offers(replace(NEEDS, regions=(asked,)))

    assert {asked} <= {offer.region for offer in offers} | {offer.zone for offer in offers}


def test_another_region_than_the_configured_one_is_no_offer(cloud: Cloud) -> None:
    with pytest.raises(
        NoOfferError, match="materia uses only the region in OCI_CLI_REGION, not us-"
    ):
        opened(cloud).offers(replace(NEEDS, regions=("us-ashburn-1",)))


@pytest.mark.parametrize("seconds", [1, 60, 61, 600, 3661])
def test_the_bill_is_what_was_predicted(seconds: int) -> None:
    with Cloud(clock=Clock(speed=0)) as cloud:
        cloud.behaviour.delete = timedelta(0)
        provider = opened(cloud)
        offer = offer_of(provider, E4)
        made = provider.create_instance(request(offer))
        cloud.clock.advance(timedelta(seconds=seconds))
        provider.destroy_instance(made)

        predicted = cost(offer, timedelta(seconds=seconds)).cost

        assert set(cloud.billed()) == {"EUR"}
        assert abs(cloud.billed()["EUR"] - predicted.amount) < 10**-20  # Decimal's last digits


@pytest.mark.parametrize(
    ("shape", "domain", "ocpus"),
    [("VM.Standard.A1.Flex", 2, 2), ("VM.Standard.A2.Flex", 3, 1), ("VM.Standard.A4.Flex", 3, 1)],
)
def test_what_is_launched_is_what_was_priced(
    cloud: Cloud, shape: str, domain: int, ocpus: int
) -> None:
    provider = opened(cloud)
    offer = offer_of(provider, shape, domain)

    made = provider.create_instance(request(offer))

    (launch,) = [
        json.loads(one.body)
        for one in cloud.exchanges
        if one.method == "POST" and one.path.endswith("/instances")
    ]
    assert launch["shapeConfig"] == {"ocpus": float(ocpus), "memoryInGBs": 8.0}
    assert offer.vcpus == 2
    provider.destroy_instance(made)


@pytest.mark.parametrize(
    "odd", [7, "many", [], {"min": 1, "max": "many"}, {"min": 1, "max": None}, {"max": -4}]
)
def test_a_shape_that_cannot_be_read_costs_that_shape_alone(cloud: Cloud, odd: object) -> None:
    def spoil(_: Request, answer: Answer) -> Answer:
        body = answer.body
        assert isinstance(body, list)
        (e5,) = [one for one in body if one["shape"] == "VM.Standard.E5.Flex"]
        others = [one for one in body if one is not e5]
        return replace(answer, body=[{**e5, "ocpuOptions": odd}, *others])

    cloud.faults.next("GET", "*/shapes", Fault(alter=spoil), times=None)
    found = opened(cloud).offers(NEEDS)

    assert "VM.Standard.E5.Flex" not in {one.instance_type for one in found}
    assert E4 in {one.instance_type for one in found}
    assert left_out_of(found)


def test_a_domain_that_does_not_answer_is_named_and_the_others_are_offered(cloud: Cloud) -> None:
    def fail(request: Request, answer: Answer) -> Answer:
        return cloud.errors["server_error"] if "AD-2" in request.target else answer

    cloud.faults.next("GET", "*/shapes", Fault(alter=fail), times=None)
    found = opened(cloud).offers(NEEDS)

    assert {one.zone[-1] for one in found} == {"1", "3"}
    (line,) = left_out_of(found)
    assert line.startswith("oracle: Emul:EU-FRANKFURT-1-AD-2 is left out: cannot list shapes in ")


@pytest.mark.parametrize("asked", ["EU-FRANKFURT-1", "emul:eu-frankfurt-1-ad-2"])
def test_a_region_is_found_however_it_is_written(cloud: Cloud, asked: str) -> None:
    assert opened(cloud).offers(replace(NEEDS, regions=(asked,)))
