"""The fake against answers that the real service gave, and the plugin on those answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.scaleway_open import NEEDS, offer_of, opened, request
from materia_scaleway import prices
from materia_scaleway.emulator.service import Scaleway as Cloud

RECORDED = Path(__file__).resolve().parents[3] / "shared/data/providers/scaleway"
pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recorded answers are not beside this checkout"
)


def recorded(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((RECORDED / name).read_text())["response"]["body"]
    return body


def exchange(file: str, method: str, end: str) -> Any:
    for one in json.loads((RECORDED / "lifecycle" / file).read_text()):
        asked, answer = one["request"], one["response"]
        if asked["method"] == method and asked["url"].split("?")[0].endswith(end):
            return answer["body"]
    raise AssertionError(f"{file} has no {method} {end}")


def asked(cloud: Cloud, path: str) -> Any:
    headers = {"X-Auth-Token": cloud.secret_key}
    answer = requests.get(f"{cloud.url}{path}", headers=headers, timeout=5)
    assert answer.status_code == 200
    return answer.json()


def test_a_server_type_has_every_field_of_the_real_one(cloud: Cloud) -> None:
    real = recorded("prices/products-servers.fr-par-1.page1.json")["servers"]
    fake = asked(cloud, "/instance/v1/zones/fr-par-1/products/servers")["servers"]

    assert set(next(iter(real.values()))) == set(next(iter(fake.values())))


def test_a_product_has_every_field_of_the_real_one(cloud: Cloud) -> None:
    (real,) = recorded("prices/public-catalog-instance.fr-par-1.PRO2-XXS.page1.json")["products"]
    path = "/product-catalog/v2alpha1/public-catalog/products?zone=fr-par-1&api_ids=PRO2-XXS"
    (fake,) = asked(cloud, path)["products"]

    assert set(real) == set(fake)
    assert fake["price"] == real["price"]
    assert set(real["properties"]["hardware"]["cpu"]) == set(fake["properties"]["hardware"]["cpu"])
    assert set(real["properties"]["instance"]) == set(fake["properties"]["instance"])


def test_a_server_a_volume_and_an_image_have_every_field_of_the_real_ones(cloud: Cloud) -> None:
    file = "tf.server-user-data-with-cloud-init-at-start.json"
    provider = opened(cloud)
    made = provider.create_instance(request(offer_of(provider, "DEV1-L")))
    zone = "/instance/v1/zones/fr-par-1"
    server = asked(cloud, f"{zone}/servers/{made.id}")["server"]
    (volume,) = asked(cloud, "/block/v1/zones/fr-par-1/volumes")["volumes"]
    images = asked(cloud, "/marketplace/v2/local-images?zone=fr-par-1")["local_images"]
    real = exchange(file, "POST", "/servers")["server"]
    real_volume = exchange(file, "GET", "c3d93bde-9d41-4ef2-9681-ee03f1924713")

    assert set(real) == set(server)
    assert set(real["image"]) == set(server["image"])
    assert set(real["volumes"]["0"]) == set(server["volumes"]["0"])
    assert set(real_volume) == set(volume)
    assert set(real_volume["references"][0]) == set(volume["references"][0])
    assert set(exchange(file, "GET", "/local-images")["local_images"][0]) == set(images[0])


def test_an_address_has_every_field_of_the_real_one(cloud: Cloud) -> None:
    provider = opened(cloud)
    provider.create_instance(request(offer_of(provider, "DEV1-L")))
    (fake,) = asked(cloud, "/instance/v1/zones/fr-par-1/ips")["ips"]

    assert set(exchange("cli.test-ip-create-simple.json", "POST", "/ips")["ip"]) == set(fake)


def test_refusals_are_worded_as_the_real_ones(cloud: Cloud) -> None:
    found = json.loads((RECORDED / "errors/recorded_errors.json").read_text())
    real = {
        (one["response"]["status"], one["response"]["body"]["type"])
        for one in found
        if isinstance(one["response"]["body"], dict) and "type" in one["response"]["body"]
    }
    fake = {
        (answer.status, answer.body["type"])
        for answer in cloud.errors.values()
        if isinstance(answer.body, dict)
    }

    assert real <= fake


@pytest.mark.parametrize("zone", ["fr-par-1", "it-mil-1", "nl-ams-2"])
def test_every_recorded_product_becomes_an_offer_at_its_recorded_price(zone: str) -> None:
    products = recorded(f"prices/public-catalog-instance.{zone}.page1.json")["products"]
    answer = prices.Zone(
        name=zone,
        products=products,
        kinds=None,
        stock={},
        volume=prices.SBS_HOURLY_PER_GB,
        volume_source=prices.PRICING,
        as_of=datetime.now(UTC),
        source="recorded",
    )

    offers = {offer.instance_type: offer for offer in prices.offers(answer, NEEDS)}

    assert len(offers) == len(products)
    for product in products:
        name = product["product"]
        # The catalog repeats each price in a sentence: `PRO2-XXS - fr-par-1 (0.0561€ per hour)`.
        said, _, unit = product["description"].rpartition("(")[2].partition("€")
        in_an_hour = {" per hour)": 1, " per minute)": 60}[unit]
        assert offers[name].hourly.amount == Decimal(said) * in_an_hour, name


def test_catalog_and_server_types_agree_on_every_recorded_price() -> None:
    kinds = {
        name: one
        for page in (1, 2, 3)
        for name, one in recorded(f"prices/products-servers.fr-par-1.page{page}.json")[
            "servers"
        ].items()
    }
    stock = {
        name: one["availability"]
        for page in (1, 2, 3)
        for name, one in recorded(f"prices/availability.fr-par-1.page{page}.json")[
            "servers"
        ].items()
    }
    products = recorded("prices/public-catalog-instance.fr-par-1.page1.json")["products"]
    common = {
        "name": "fr-par-1",
        "kinds": kinds,
        "stock": stock,
        "volume": prices.SBS_HOURLY_PER_GB,
        "volume_source": prices.PRICING,
        "as_of": datetime.now(UTC),
        "source": "recorded",
    }

    with_catalog = prices.offers(prices.Zone(products=products, **common), NEEDS)  # type: ignore[arg-type]  # a dictionary of all sorts
    without = prices.offers(prices.Zone(products=[], **common), NEEDS)  # type: ignore[arg-type]  # as above

    assert len(with_catalog) > 90
    # The catalog cuts a float to nanos: 0.065076 became 0.065075999, and that is what it says. It
    # was recorded seven weeks before the types, so a price or two may have changed in between.
    changed = [
        one.instance_type
        for one, other in zip(with_catalog, without, strict=True)
        if abs(one.hourly.amount - other.hourly.amount) > Decimal("1e-7")
    ]
    assert len(changed) <= 2, changed
    assert {one.availability for one in with_catalog} >= {"available", "scarce"}
    assert not [one for one in with_catalog if one.instance_type.endswith("-WIN")]
