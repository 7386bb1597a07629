from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.oracle_open import NEEDS
from materia.compute import Offer, Requirements
from materia.errors import NoOfferError, ProviderError
from materia.kit.once import unkept
from materia_oracle.catalog.price_list import PriceList, fetch, parse
from materia_oracle.catalog.shapes import Shape, Size, listed_shapes, offers, read_offer_size, size
from materia_oracle.emulator.service import Oracle as Cloud
from materia_oracle.emulator.tenancy import PRICES
from materia_oracle.public import read_public_offers
from materia_oracle.settings import read_settings
from materia_providers.list_entries import LeftOut
from materia_runner.pricing.cost import cost
from materia_testing.emulation import Fault

RECORDED = Path(__file__).resolve().parents[3] / "shared/data/providers/oci"
recorded = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recorded price list is not beside this checkout"
)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def read(body: Any, currency: str = "USD") -> PriceList | None:
    body = json.loads(json.dumps(body), parse_float=Decimal, parse_int=Decimal)
    return parse(body, currency, source="a list", as_of=datetime.now(UTC))


def item(part: str, name: str, metric: str, *prices: dict[str, object]) -> dict[str, object]:
    return {
        "partNumber": part,
        "displayName": name,
        "metricName": metric,
        "serviceCategory": "",
        "currencyCodeLocalizations": [{"currencyCode": "USD", "prices": list(prices)}],
    }


def payg(value: float, above: int = 0, up_to: int | None = None) -> dict[str, object]:
    tier: dict[str, object] = {"model": "PAY_AS_YOU_GO", "value": value}
    return tier if up_to is None else {**tier, "rangeMin": above, "rangeMax": up_to}


VOLUMES = (
    item("B91961", "Storage - Block Volume - Storage", "Gigabyte Per Month", payg(0.0255)),
    item("B91962", "Storage - Block Volume - Performance", "Units Per Month", payg(0.0017)),
)


def series(name: str) -> list[Any]:
    """The two rows of a series: 0.02 for an OCPU and 0.002 for a gigabyte."""
    return [
        item("B1", f"{name} - OCPU", "OCPU Per Hour", payg(0.02)),
        item("B2", f"{name} - Memory", "Gigabyte Per Hour", payg(0.002)),
    ]


def flex(name: str, *, most: int = 64) -> Shape:
    return Shape(
        name=name,
        ocpus=(1, most),
        memory_gb=(Decimal(1), Decimal(1024)),
        gb_per_ocpu=(Decimal(1), Decimal(64)),
    )


def offer_of(prices: PriceList, name: str, needs: Requirements = NEEDS) -> Offer:
    (found,) = offers([flex(name)], prices, needs, region="eu-frankfurt-1")
    return found


@pytest.mark.parametrize(
    ("vcpus", "memory", "ocpus", "gb"),
    [
        (2, 8, 1, 8),
        (3, 8, 2, 8),
        (4, 16, 2, 16),
        (2, 100, 2, 100),  # at most 64 GB for an OCPU
        (16, 4, 8, 8),  # at least 1 GB for an OCPU
        (1, Decimal("7.5"), 1, 8),
    ],
)
def test_a_flexible_shape_is_as_small_as_the_needs_allow(
    vcpus: int, memory: Decimal, ocpus: int, gb: int
) -> None:
    needs = Requirements(vcpus=vcpus, memory_gib=Decimal(memory))

    assert size(flex("VM.Standard.E5.Flex"), needs) == Size(ocpus=ocpus, memory_gb=Decimal(gb))


@pytest.mark.parametrize(
    ("shape", "vcpus", "memory", "price"),
    [
        ("VM.Standard.A1.Flex", 2, 8, "0.0320"),
        ("VM.Standard.A1.Flex", 4, 16, "0.0640"),
        ("VM.Standard.A1.Flex", 8, 32, "0.1280"),
        ("VM.Standard.A2.Flex", 2, 8, "0.0300"),
        ("VM.Standard.A2.Flex", 4, 16, "0.0600"),
        ("VM.Standard.A2.Flex", 8, 32, "0.1200"),
        ("VM.Standard.A4.Flex", 2, 8, "0.0354"),
        ("VM.Standard.A4.Flex", 4, 16, "0.0708"),
        ("VM.Standard.A4.Flex", 8, 32, "0.1416"),
        ("VM.Standard.E4.Flex", 2, 8, "0.0370"),
        ("VM.Standard.E4.Flex", 4, 16, "0.0740"),
        ("VM.Standard.E4.Flex", 8, 32, "0.1480"),
    ],
)
def test_a_shape_is_sized_and_priced_by_what_its_processor_gives_for_an_ocpu(
    cloud: Cloud, shape: str, vcpus: int, memory: int, price: str
) -> None:
    prices = fetch(f"{cloud.url}{PRICES}/", "USD")
    needs = replace(NEEDS, vcpus=vcpus, memory_gib=Decimal(memory))

    found = offer_of(prices, shape, needs)

    assert (found.vcpus, found.memory_gib) == (vcpus, Decimal(memory))
    assert found.hourly.amount == Decimal(price)
    assert found.architecture == ("arm64" if ".A" in shape else "x86_64")


@pytest.mark.parametrize(
    ("listed", "shape", "vcpus"),
    [
        ("OCI - Compute - Standard - A4 Ax", "VM.Standard.A4.Ax.Flex", 2),
        ("OCI - Compute - Standard - E6 Ax", "VM.Standard.E6.Ax.Flex", 2),
        ("OCI - Compute - Standard - X12 Ax", "VM.Standard4.Ax.Flex", 2),
        ("Compute - Standard - E7", "VM.Standard.E7.Flex", 2),
        ("Compute - Standard - X9", "VM.Standard3.Flex", 2),
    ],
)
def test_a_shape_has_the_series_of_its_name_also_when_it_is_new_or_accelerated(
    listed: str, shape: str, vcpus: int
) -> None:
    prices = read({"items": [*VOLUMES, *series(listed)]})

    assert prices is not None
    assert [one.name for one in listed_shapes(prices)] == [shape]
    found = offer_of(prices, shape)
    assert (found.vcpus, found.hourly.amount) == (vcpus, Decimal("0.036"))
    assert read_offer_size(found) == (1.0, 8.0)


def test_an_arm_series_whose_ocpu_is_not_known_is_left_out_with_a_line() -> None:
    prices = read({"items": [*VOLUMES, *series("Compute - Standard - A6")]})
    assert prices is not None
    left = LeftOut("oracle")

    shapes = listed_shapes(prices)

    assert offers(shapes, prices, NEEDS, region="eu-frankfurt-1", left=left) == []
    (line,) = left.lines()
    assert line == (
        "oracle: VM.Standard.A6.Flex is left out: this version does not know its number of "
        "vCPUs per OCPU"
    )


def test_the_public_list_offers_no_shape_larger_than_its_processor_allows(cloud: Cloud) -> None:
    prices = fetch(f"{cloud.url}{PRICES}/", "USD")
    needs = replace(NEEDS, vcpus=500, memory_gib=Decimal(5000))

    found = offers(listed_shapes(prices), prices, needs, region="eu-frankfurt-1")

    sizes = {one.instance_type: (one.vcpus, one.memory_gib) for one in found}
    assert sizes["VM.Standard.A1.Flex"] == (80, Decimal(512))
    assert sizes["VM.Standard.A4.Flex"] == (90, Decimal(700))
    assert sizes["VM.Optimized3.Flex"] == (36, Decimal(256))


@pytest.mark.parametrize(
    "price",
    [None, 0, -0.03, "0.03", [], {}, True, 1e12, 1e-9, float("nan"), float("inf")],
)
@pytest.mark.parametrize("row", [2, 3], ids=["OCPU", "memory"])
def test_a_price_that_cannot_be_costs_its_series_alone(price: object, row: int) -> None:
    items = [*VOLUMES, *series("Compute - Standard - E4"), *series("Compute - Standard - E5")]
    items[row]["currencyCodeLocalizations"][0]["prices"][0]["value"] = price

    prices = read({"items": items})

    assert prices is not None
    found = offers(listed_shapes(prices), prices, NEEDS, region="eu-frankfurt-1")
    assert [one.instance_type for one in found] == ["VM.Standard.E5.Flex"]
    (line,) = prices.left_out
    assert line.startswith("oracle: Compute - Standard - E4 - ")
    assert " in the price list is left out: its price " in line


@pytest.mark.parametrize("metric", ["Gigabyte Per Hour", "Server Per Hour", None])
def test_a_row_is_not_taken_for_an_ocpu_by_its_name_alone(metric: str | None) -> None:
    items = [*VOLUMES, *series("Compute - Standard - E4"), *series("Compute - Standard - E5")]
    items[2]["metricName"] = metric

    prices = read({"items": items})

    assert prices is not None
    assert set(prices.series) == {("Standard", "E5")}
    assert "is priced by" in prices.left_out[0]


def test_traffic_without_a_price_in_the_list_is_not_free(cloud: Cloud) -> None:
    prices = fetch(f"{cloud.url}{PRICES}/", "USD")
    (found,) = offers(
        [flex("VM.Standard.E4.Flex")],
        replace(prices, egress={}),
        NEEDS,
        region="eu-frankfurt-1",
    )

    assert cost(found, timedelta(hours=1)).cost.amount > 0
    with pytest.raises(ValueError, match="no price known"):
        cost(found, timedelta(hours=1), egress_gib=Decimal(1))


def test_the_free_tier_is_never_the_price() -> None:
    body = {
        "items": [
            *VOLUMES,
            # As Oracle sends them, and once the other way round.
            item("B93297", "Compute - Standard - A1 - OCPU", "OCPU Per Hour",
                 payg(0, 0, 3000), payg(0.01, 3000, 999999999999999)),
            item("B93298", "Compute - Standard - A1 - Memory", "Gigabyte Per Hour",
                 payg(0.0015, 18000, 999999999999999), payg(0, 0, 18000)),
        ]
    }  # fmt: skip
    prices = read(body)

    assert prices is not None
    assert offer_of(prices, "VM.Standard.A1.Flex").hourly.amount == Decimal("0.032")


def test_traffic_is_free_up_to_the_first_tier(cloud: Cloud) -> None:
    prices = fetch(f"{cloud.url}{PRICES}/", "USD")
    here = offer_of(prices, "VM.Standard.E4.Flex")
    (there,) = offers([flex("VM.Standard.E4.Flex")], prices, NEEDS, region="ap-tokyo-1")

    assert here.egress_included_gib == there.egress_included_gib == Decimal(10240)
    assert here.egress_per_gib is not None
    assert there.egress_per_gib is not None
    assert here.egress_per_gib.amount == Decimal("0.0085")
    assert there.egress_per_gib.amount == Decimal("0.025")


def test_the_boot_volume_is_50_gb_at_least_and_billed_by_the_second(cloud: Cloud) -> None:
    prices = fetch(f"{cloud.url}{PRICES}/", "USD")
    (small,) = offer_of(prices, "VM.Standard.E4.Flex").extras
    (large,) = offer_of(prices, "VM.Standard.E4.Flex", replace(NEEDS, disk_gib=100)).extras

    assert small.name == "boot volume, 50 GB"
    # 0.0255 for the space and 10 times 0.0017 for its performance, for each GB and month.
    assert small.hourly.amount == Decimal("0.0425") * 50 / 744
    assert large.hourly.amount == Decimal("0.0425") * 100 / 744


@pytest.mark.parametrize("currency", ["EUR", "USD"])
def test_prices_are_asked_for_in_the_currency_wanted(cloud: Cloud, currency: str) -> None:
    prices = fetch(f"{cloud.url}{PRICES}/", currency)

    assert prices.currency == currency
    assert f"currencyCode={currency}" in prices.source
    assert offer_of(prices, "VM.Standard.E4.Flex").hourly.currency == currency


def test_a_currency_that_oracle_does_not_sell_in_is_answered_in_dollars(cloud: Cloud) -> None:
    assert fetch(f"{cloud.url}{PRICES}/", "XTS").currency == "USD"


def test_without_credentials_every_series_of_the_list_is_offered(cloud: Cloud) -> None:
    settings = read_settings(cloud.settings())

    found = read_public_offers(settings, NEEDS, unkept())

    assert {offer.availability for offer in found} == {"unknown"}
    assert {offer.region for offer in found} == {"any region"}
    assert {offer.instance_type for offer in found} == {
        "VM.Optimized3.Flex",
        "VM.Standard.A1.Flex",
        "VM.Standard.A2.Flex",
        "VM.Standard.A4.Flex",
        "VM.Standard.E4.Flex",
        "VM.Standard.E5.Flex",
        "VM.Standard.E6.Flex",
        "VM.Standard3.Flex",
    }
    assert {one.path for one in cloud.exchanges} == {f"{PRICES}/"}


def test_without_credentials_a_region_that_could_be_oracles_is_believed(cloud: Cloud) -> None:
    settings = read_settings(cloud.settings())

    found = read_public_offers(settings, replace(NEEDS, regions=("fsn1", "uk-london-1")), unkept())

    assert {offer.region for offer in found} == {"uk-london-1"}
    with pytest.raises(NoOfferError, match="fsn1 is not a region of Oracle"):
        read_public_offers(settings, replace(NEEDS, regions=("fsn1",)), unkept())


@pytest.mark.parametrize(
    "body",
    [{}, [], {"items": None}, {"items": [VOLUMES[0]]}, {"items": list(VOLUMES)}],
    ids=["empty", "a list", "nothing", "no performance", "no compute"],
)
def test_a_list_that_lacks_what_prices_need_is_an_error(body: object) -> None:
    with pytest.raises(ProviderError, match="the price list"):
        read(body)


@pytest.mark.parametrize("error", ["server_error", "bad_gateway", "not_json"])
def test_a_list_that_does_not_come_is_an_error(cloud: Cloud, error: str) -> None:
    cloud.faults.next("GET", f"{PRICES}/", Fault(error=error), times=None)

    with pytest.raises(ProviderError, match="the price list"):
        fetch(f"{cloud.url}{PRICES}/", "EUR")


@recorded
def test_the_recorded_list_prices_every_series_that_was_sold() -> None:
    flat = json.loads((RECORDED / "pricelist-compute.flattened.2026-01-17.json").read_text())
    body = {
        "items": [
            item(row["partNumber"], row["displayName"], row["metricName"], payg(row["priceUSD"]))
            for row in flat["products"]
        ]
    }
    prices = read(body)

    assert prices is not None
    found = {
        one.instance_type: one.hourly.amount
        for one in offers(listed_shapes(prices), prices, NEEDS, region="eu-frankfurt-1")
    }
    # One OCPU and 8 GB, by hand. Of A1 this copy kept the free tier alone, which is no price.
    assert found == {
        "VM.Optimized3.Flex": Decimal("0.066"),
        "VM.Standard.A2.Flex": Decimal("0.030"),
        "VM.Standard.A4.Flex": Decimal("0.0354"),
        "VM.Standard.E3.Flex": Decimal("0.037"),
        "VM.Standard.E4.Flex": Decimal("0.037"),
        "VM.Standard.E5.Flex": Decimal("0.046"),
        "VM.Standard.E6.Flex": Decimal("0.046"),
        "VM.Standard3.Flex": Decimal("0.052"),
    }
    assert {"X7", "E2"} <= {name for _, name in prices.series}
    assert any("A1 - OCPU in the price list is left out" in line for line in prices.left_out)


@recorded
def test_a_row_of_the_list_has_every_field_of_the_real_one(cloud: Cloud) -> None:
    real = json.loads((RECORDED / "pricelist-shape-with-tiers.json").read_text())["body"]
    address = f"{cloud.url}{PRICES}/?partNumber=B93297&currencyCode=USD"
    fake = httpx.get(address, timeout=5).json()

    assert set(real) == set(fake)
    (one,), (other,) = real["items"], fake["items"]
    assert set(one) == set(other)
    assert one["currencyCodeLocalizations"] == other["currencyCodeLocalizations"]


@recorded
def test_refusals_are_worded_as_the_real_ones(cloud: Cloud) -> None:
    found = json.loads((RECORDED / "recorded_errors.json").read_text())["errors"]
    real = {(one["status"], one["body"]["code"]) for one in found}
    fake = {
        (answer.status, answer.body["code"])
        for answer in cloud.errors.values()
        if isinstance(answer.body, dict)
    }

    assert real <= fake
