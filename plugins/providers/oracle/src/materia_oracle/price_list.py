"""Oracle's public price list: no account, no SDK.

The address with `?currencyCode=` gives every product. A price may have tiers: A1 and traffic are
free up to a monthly amount. The first tier is never taken for the price.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
from materia.errors import ProviderError
from materia.http_client import client

URL = "https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/"
TIMEOUT_SECONDS = 15.0
STORAGE = "B91961"  # block volume: a gigabyte for a month
PERFORMANCE = "B91962"  # one performance unit of a gigabyte for a month
# Outbound traffic, by where it comes from.
EGRESS_WEST = "B88327"
EGRESS_PACIFIC = "B93455"
EGRESS_MIDDLE = "B93456"
# `Compute - Standard - E5 - OCPU`, `OCI - Compute - Standard - A4 - Memory`, `Compute - Virtual
# Machine Standard - X7`, `Compute - Standard - A2 OCPU`.
NAME = re.compile(
    r"\bCompute - (?:Virtual Machine )?(Standard|Optimized) - ([A-Z]\d+)"
    r"(?:\s*-?\s*(?:OCPU|Memory))?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step of a price.

    Attributes:
        price: Of one unit, net.
        above: The amount of the month after which it holds.
        up_to: Where it ends, or None.
    """

    price: Decimal
    above: Decimal
    up_to: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What the shapes of one series cost.

    Attributes:
        family: `Standard` or `Optimized`.
        name: As the list has it, for example `E5`.
        ocpu: An OCPU for an hour.
        memory: A gigabyte of memory for an hour, or None where it is in the OCPU's price.
    """

    family: str
    name: str
    ocpu: Decimal
    memory: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """The list in one currency.

    Attributes:
        currency: ISO 4217 code.
        series: By family and name.
        storage: A gigabyte of block volume for a month.
        performance: A performance unit of a gigabyte for a month.
        egress: Tiers of a gigabyte of traffic, by part number.
        as_of: When it was read, in UTC.
        source: Its address.
    """

    currency: str
    series: Mapping[tuple[str, str], Series]
    storage: Decimal
    performance: Decimal
    egress: Mapping[str, Sequence[Tier]]
    as_of: datetime
    source: str


def fetch(url: str, currency: str) -> PriceList:
    """The list in *currency*, or in USD where Oracle does not sell in it.

    Raises:
        ProviderError: it cannot be had or read.
    """
    for code in dict.fromkeys((currency, "USD")):
        address = f"{url or URL}?currencyCode={code}"
        found = parse(_get(address), code, source=address, as_of=datetime.now(UTC))
        if found is not None:
            return found
    raise ProviderError(f"oracle: the price list has no prices in {currency} or USD")


def _get(address: str) -> Any:
    try:
        with client(address, timeout=TIMEOUT_SECONDS, follow_redirects=True) as asked:
            answer = asked.get(address)
        answer.raise_for_status()
        # Prices are decimals on the page; a float would not be.
        return json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise ProviderError(f"oracle: the price list answers HTTP {status}: {address}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        kind = type(error).__name__
        raise ProviderError(f"oracle: the price list does not answer ({kind})") from error
    except ValueError as error:
        raise ProviderError(f"oracle: the price list is not JSON: {address}") from error


def parse(body: Any, currency: str, *, source: str, as_of: datetime) -> PriceList | None:
    """The prices in the JSON *body*; None when none of them is in *currency*.

    Raises:
        ProviderError: it lacks something without which nothing can be priced.
    """
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise ProviderError(f"oracle: the price list has no items: {source}")
    tiers: dict[str, Sequence[Tier]] = {}
    rows: list[tuple[tuple[str, str], bool, Decimal]] = []
    for item in items:
        steps = _tiers(item, currency)
        if not steps:
            continue
        tiers[str(item.get("partNumber"))] = steps
        name = re.sub(r"\s+", " ", str(item.get("displayName", ""))).strip()
        if (found := NAME.search(name)) and "@Customer" not in name:
            per_gb = str(item.get("metricName", "")).startswith("Gigabyte")
            rows.append(((found[1], found[2]), per_gb, _price(steps)))
    if not tiers:
        return None
    memory = {key: price for key, per_gb, price in rows if per_gb}
    series = {
        key: Series(family=key[0], name=key[1], ocpu=price, memory=memory.get(key))
        for key, per_gb, price in rows
        if not per_gb
    }
    missing = [part for part in (STORAGE, PERFORMANCE) if part not in tiers]
    if missing or not series:
        what = ", ".join(missing) or "compute"
        raise ProviderError(f"oracle: the price list lacks {what}: {source}")
    return PriceList(
        currency=currency,
        series=series,
        storage=_price(tiers[STORAGE]),
        performance=_price(tiers[PERFORMANCE]),
        egress={
            part: tiers[part]
            for part in (EGRESS_WEST, EGRESS_PACIFIC, EGRESS_MIDDLE)
            if part in tiers
        },
        as_of=as_of,
        source=source,
    )


def _tiers(item: Mapping[str, Any], currency: str) -> list[Tier]:
    """The pay-as-you-go tiers, from the first to the last."""
    prices: Iterable[Mapping[str, Any]] = next(
        (
            one.get("prices") or ()
            for one in item.get("currencyCodeLocalizations") or ()
            if one.get("currencyCode") == currency
        ),
        (),
    )
    found = [
        Tier(
            price=Decimal(str(price["value"])),
            above=Decimal(str(price.get("rangeMin") or 0)),
            up_to=Decimal(str(price["rangeMax"])) if price.get("rangeMax") is not None else None,
        )
        for price in prices
        if price.get("model", "PAY_AS_YOU_GO") == "PAY_AS_YOU_GO" and price.get("value") is not None
    ]
    return sorted(found, key=lambda tier: tier.above)


def _price(tiers: Sequence[Tier]) -> Decimal:
    """Above every free amount: what one more unit costs an account that has used those up."""
    return tiers[-1].price


def egress_part(region: str) -> str:
    """The part number of traffic out of *region*, for example of `eu-frankfurt-1`."""
    area = region.split("-", maxsplit=1)[0]
    if area in {"ap", "sa"}:
        return EGRESS_PACIFIC
    return EGRESS_MIDDLE if area in {"me", "af", "il"} else EGRESS_WEST
