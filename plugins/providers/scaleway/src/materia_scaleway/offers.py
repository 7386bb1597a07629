"""Ask every zone for prices and stock, all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from materia.errors import NoOfferError, ProviderError
from materia.machines import Money, Offer, Requirements
from scaleway.instance.v1 import ServerType  # type: ignore[import-untyped]

from materia_scaleway import prices
from materia_scaleway.client import Apis, pages
from materia_scaleway.errors import GoneError, translated
from materia_scaleway.zones import Zones


def offers_of(apis: Apis, zones: Zones, requirements: Requirements) -> Sequence[Offer]:
    """The offers of all zones; with the keys of an account also what is in stock.

    Raises:
        NoOfferError: none of the zones is in the regions that are required, or has anything.
        ProviderError: the first failure, in the order of the zones; a zone that Scaleway does not
            have any more is left out, unless the user named it.
    """
    asked = zones.within(requirements.regions)
    if not asked.names:
        raise NoOfferError(
            f"scaleway: no zone in {', '.join(requirements.regions)}; "
            f"in use: {', '.join(zones.names)}"
        )

    def ask(zone: str) -> list[Offer] | ProviderError:
        try:
            return prices.offers(_answers(apis, zone), requirements)
        except GoneError as error:
            if zones.chosen:
                return error
            return []
        except ProviderError as error:
            return error

    with ThreadPoolExecutor(max_workers=len(asked.names)) as pool:
        answers = list(pool.map(ask, asked.names))
    found: list[Offer] = []
    for answer in answers:
        if isinstance(answer, ProviderError):
            raise answer
        found += answer
    if not found:
        raise NoOfferError(f"scaleway: nothing for sale in {', '.join(asked.names)}")
    return found


def _answers(apis: Apis, zone: str) -> prices.Zone:
    account = apis.instances.client.secret_key is not None
    kinds = _kinds(apis, zone) if account else None
    stock = _stock(apis, zone) if account else {}
    volume, source = _volume(apis, zone) if account else (prices.SBS_HOURLY_PER_GB, prices.PRICING)
    try:
        with translated(f"prices in {zone}"):
            products = apis.catalog.products(zone)
    except GoneError:
        if kinds is None:
            raise
        products = []  # the server types have prices too, only not as decimals
    url = apis.catalog.client.api_url
    return prices.Zone(
        name=zone,
        products=products,
        kinds=kinds,
        stock=stock,
        volume=volume,
        volume_source=source,
        as_of=datetime.now(UTC),
        source=f"{url}{apis.catalog.path}?product_types=instance&zone={zone}",
    )


def _kinds(apis: Apis, zone: str) -> Mapping[str, ServerType]:
    def page(number: int) -> tuple[list[tuple[str, ServerType]], object]:
        answer = apis.instances.list_servers_types(zone=zone, page=number)
        return list(answer.servers.items()), answer.total_count

    with translated(f"server types in {zone}"):
        return dict(pages(page))


def _stock(apis: Apis, zone: str) -> Mapping[str, str]:
    def page(number: int) -> tuple[list[tuple[str, str]], object]:
        answer = apis.instances.get_server_types_availability(zone=zone, page=number)
        found = [(name, str(one.availability)) for name, one in answer.servers.items()]
        return found, answer.total_count

    with translated(f"stock in {zone}"):
        return dict(pages(page))


def _volume(apis: Apis, zone: str) -> tuple[Money, str]:
    """The price of a GB-hour of boot volume, and where it was read."""
    try:
        with translated(f"volume prices in {zone}"):
            kinds = apis.blocks.list_volume_types(zone=zone).volume_types
    except GoneError:
        kinds = []
    for kind in kinds:
        if kind.type_ == prices.SBS_TYPE and kind.pricing is not None:
            price = prices.exact(
                {
                    "units": kind.pricing.units,
                    "nanos": kind.pricing.nanos,
                    "currency_code": kind.pricing.currency_code,
                }
            )
            return price, f"{apis.blocks.client.api_url}/block/v1/zones/{zone}/volume-types"
    return prices.SBS_HOURLY_PER_GB, prices.PRICING
