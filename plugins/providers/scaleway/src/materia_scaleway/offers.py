"""Fetch Scaleway's offers: prices and stock of every zone at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from materia.compute import Money, Offer, Requirements
from materia.errors import NoOfferError
from materia.kit.once import Once, unkept
from materia_providers.api_errors import GoneError
from materia_providers.list_entries import Entries, LeftOut

from materia_scaleway import prices
from materia_scaleway.client import PAGE_SIZE, Apis, pages
from materia_scaleway.errors import translated
from materia_scaleway.zones import Zones


def offers_of(
    apis: Apis, zones: Zones, requirements: Requirements, once: Once | None = None
) -> Entries[Offer]:
    """The offers of all zones, with stock if there are credentials.

    A zone that does not answer is left out, and a line reports it. A zone that Scaleway no longer
    has is left out without a line, unless the user named it.

    Raises:
        NoOfferError: no zone is in the required regions, or none has an offer.
        ProviderError: no zone answers.
    """
    asked = zones.within(requirements.regions)
    if not asked.names:
        raise NoOfferError(
            f"scaleway: no configured zone is in {', '.join(requirements.regions)}; "
            f"in use: {', '.join(zones.names)}"
        )

    left = LeftOut(prices.PROVIDER)
    once = once or unkept()

    def ask(zone: str) -> Sequence[Offer]:
        found: list[Offer] = []
        with left.place(zone):
            try:
                answers, odd = once.ask(zone, partial(_answers, apis, zone))
            except GoneError:
                if zones.chosen:
                    raise
                return found
            left.join(odd)
            found += prices.offers(answers, requirements, left)
        return found

    with ThreadPoolExecutor(max_workers=len(asked.names)) as pool:
        found = [offer for offers in pool.map(ask, asked.names) for offer in offers]
    if not found and left.errors:
        raise left.errors[0]
    if not found:
        head = f"scaleway: no offers in {', '.join(asked.names)}"
        raise NoOfferError("; ".join([head, *left.lines()]))
    return Entries(found, left.lines())


def _answers(apis: Apis, zone: str) -> tuple[prices.Zone, LeftOut]:
    left = LeftOut(prices.PROVIDER)
    account = apis.instances.client.secret_key is not None
    kinds = _kinds(apis, zone) if account else None
    products: list[Any] = []
    stock: Mapping[str, str] = {}
    volume, source = prices.SBS_HOURLY_PER_GB, ""
    if kinds is None:
        with translated(f"read prices in {zone}"):
            products = apis.catalog.products(zone)
    else:
        # The server types have prices too, though not as decimals. Stock may stay unknown.
        with left.place(f"the stock of {zone}"):
            stock = _stock(apis, zone)
        with left.place(f"the price of volumes in {zone}"):
            volume, source = _volume(apis, zone, left)
        doing = translated(f"read prices in {zone}")
        with left.place(f"the catalog of {zone}"), suppress(GoneError), doing:
            products = apis.catalog.products(zone)
    url = apis.catalog.client.api_url
    answers = prices.Zone(
        name=zone,
        products=products,
        kinds=kinds,
        stock=stock,
        volume=volume,
        volume_source=source or prices.PRICING,
        volume_read_on=None if source else prices.READ_ON,
        as_of=datetime.now(UTC),
        source=f"{url}{apis.catalog.path}?product_types=instance&zone={zone}",
    )
    return answers, left


def _kinds(apis: Apis, zone: str) -> Mapping[str, Any]:
    def page(number: int) -> tuple[list[tuple[str, Any]], object]:
        path = f"/instance/v1/zones/{zone}/products/servers"
        body = apis.instances.read(path, page=number, per_page=PAGE_SIZE)
        return list(body["servers"].items()), body.get("total_count")

    with translated(f"list server types in {zone}"):
        return dict(pages(page))


def _stock(apis: Apis, zone: str) -> Mapping[str, str]:
    def page(number: int) -> tuple[list[tuple[str, str]], object]:
        path = f"/instance/v1/zones/{zone}/products/servers/availability"
        body = apis.instances.read(path, page=number, per_page=PAGE_SIZE)
        found = [
            (name, str(one.get("availability")) if isinstance(one, dict) else "")
            for name, one in body["servers"].items()
        ]
        return found, body.get("total_count")

    with translated(f"read the stock in {zone}"):
        return dict(pages(page))


def _volume(apis: Apis, zone: str, left: LeftOut) -> tuple[Money, str]:
    """The price of a GB-hour of boot volume, and its source; the built-in price has no source."""
    path = f"/block/v1/zones/{zone}/volume-types"
    kinds: Sequence[Any] = ()
    with suppress(GoneError), translated(f"read volume prices in {zone}"):
        kinds = list(apis.blocks.read(path, page=1, page_size=PAGE_SIZE)["volume_types"])
    for kind in kinds:
        with left.entry(f"the price of volumes in {zone}"):
            if kind["type"] == prices.SBS_TYPE:
                price = prices.exact(kind["pricing"])
                return price, f"{apis.blocks.client.api_url}{path}"
    return prices.SBS_HOURLY_PER_GB, ""
