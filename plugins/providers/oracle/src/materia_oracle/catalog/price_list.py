"""Oracle's public price list: no account, no SDK.

The URL with `?currencyCode=` returns every product. A price may have tiers: A1 and traffic are
free up to a monthly amount. The first tier is never used as the price.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
from materia.errors import ProviderError
from materia_http.client import client
from materia_providers.connection_errors import connection_text
from materia_providers.list_entries import LeftOut, amount

URL = "https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/"
TIMEOUT_SECONDS = 15.0
STORAGE = "B91961"  # block volume: a gigabyte for a month
PERFORMANCE = "B91962"  # one performance unit of a gigabyte for a month
# Outbound traffic, by where it comes from.
EGRESS_WEST = "B88327"
EGRESS_PACIFIC = "B93455"
EGRESS_MIDDLE = "B93456"
EGRESS = (EGRESS_WEST, EGRESS_PACIFIC, EGRESS_MIDDLE)
PARTS = frozenset({STORAGE, PERFORMANCE, *EGRESS})
NO_END = Decimal("1e18")  # of a tier; the list itself writes 999999999999999
# `Compute - Standard - E5 - OCPU`, `OCI - Compute - Standard - A4 - Memory`, `Compute - Virtual
# Machine Standard - X7`, `Compute - Standard - A2 OCPU`, `OCI - Compute - Standard - E6 Ax - OCPU`.
NAME = re.compile(
    r"\bCompute - (?:Virtual Machine )?(Standard|Optimized) - ([A-Z]\d+(?: Ax)?)"
    r"(?:\s*-?\s*(OCPU|Memory))?$"
)
# A price below this, in any currency, is an error: in January 2026 the list had 0.01 USD an OCPU
# and 0.0015 for a gigabyte of memory at least, and no currency's unit is worth four dollars.
LEAST_OF_AN_OCPU = Decimal("0.0005")
LEAST_OF_A_GB = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step of a price.

    Attributes:
        price: Of one unit, net.
        above: The monthly amount from which it applies.
        up_to: Where it ends, or None.
    """

    price: Decimal
    above: Decimal
    up_to: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The prices of one series of shapes.

    Attributes:
        family: `Standard` or `Optimized`.
        name: As in the list, for example `E5`.
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
        source: Its URL.
        left_out: A line for each row with an impossible price.
    """

    currency: str
    series: Mapping[tuple[str, str], Series]
    storage: Decimal
    performance: Decimal
    egress: Mapping[str, Sequence[Tier]]
    as_of: datetime
    source: str
    left_out: tuple[str, ...] = ()


def fetch(url: str, currency: str) -> PriceList:
    """The list in *currency*, or in USD where Oracle does not sell in that currency.

    Raises:
        ProviderError: the list does not arrive or cannot be read.
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
        # Read prices as decimals: a float would lose digits.
        return json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise ProviderError(
            f"oracle: cannot read the price list: HTTP {status}: {address}"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = connection_text(error, address)
        raise ProviderError(f"oracle: cannot read the price list: {reason}") from error
    except ValueError as error:
        raise ProviderError(
            f"oracle: cannot read the price list: it is not JSON: {address}"
        ) from error


def parse(body: Any, currency: str, *, source: str, as_of: datetime) -> PriceList | None:
    """The prices in the JSON *body*; None when none of them is in *currency*.

    Raises:
        ProviderError: it lacks a price that every offer needs.
    """
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise ProviderError(f"oracle: the price list has no items: {source}")
    left = LeftOut("oracle")
    tiers: dict[str, Sequence[Tier]] = {}
    rows: dict[tuple[tuple[str, str], bool], Decimal] = {}
    priced = False
    for item in items:
        if not isinstance(item, dict):
            continue
        name = re.sub(r"\s+", " ", str(item.get("displayName", ""))).strip()
        part = str(item.get("partNumber"))
        found = None if "@Customer" in name else NAME.search(name)
        if found is None and part not in PARTS:
            priced = priced or bool(_localized(item, currency))
            continue
        with left.entry(f"{name or part} in the price list"):
            steps = _tiers(item, currency)
            priced = priced or bool(steps)
            if not steps:
                continue
            per_gb = found is None or _is_memory(found[3], str(item.get("metricName", "")))
            _check(steps[-1], least=LEAST_OF_A_GB if per_gb else LEAST_OF_AN_OCPU)
            if found:
                rows[(found[1], found[2]), per_gb] = steps[-1].price
            else:
                tiers[part] = steps
    if not priced and not left:
        return None
    series = {
        key: Series(family=key[0], name=key[1], ocpu=price, memory=rows.get((key, True)))
        for (key, per_gb), price in rows.items()
        if not per_gb
    }
    missing = [part for part in (STORAGE, PERFORMANCE) if part not in tiers]
    if missing or not series:
        what = ", ".join(missing) or "compute"
        said = "; ".join([f"the price list lacks {what}: {source}", *left.lines()])
        raise ProviderError(f"oracle: {said}")
    return PriceList(
        currency=currency,
        series=series,
        storage=tiers[STORAGE][-1].price,
        performance=tiers[PERFORMANCE][-1].price,
        egress={part: tiers[part] for part in EGRESS if part in tiers},
        as_of=as_of,
        source=source,
        left_out=left.lines(),
    )


def _is_memory(named: str | None, metric: str) -> bool:
    """Whether a row of compute prices memory, by its name and its unit.

    Raises:
        ValueError: name and unit disagree, so the price is of something unknown.
    """
    for unit, memory in (("Gigabyte", True), ("OCPU", False)):
        if metric.startswith(unit) and named in {None, "Memory" if memory else "OCPU"}:
            return memory
    raise ValueError(f"it is priced by {metric!r}")


def _localized(item: Mapping[str, Any], currency: str) -> Sequence[Any]:
    """The prices of a row in that currency, as in the list."""
    places = item.get("currencyCodeLocalizations") or ()
    if not isinstance(places, list | tuple):
        return ()
    for one in places:
        if isinstance(one, dict) and one.get("currencyCode") == currency:
            prices = one.get("prices") or ()
            return prices if isinstance(prices, list) else ()
    return ()


def _tiers(item: Mapping[str, Any], currency: str) -> list[Tier]:
    """The pay-as-you-go tiers, from the first to the last.

    Raises:
        ValueError: one tier cannot be read: the others alone may lack the expensive part.
    """
    found = []
    for price in _localized(item, currency):
        if price.get("model", "PAY_AS_YOU_GO") != "PAY_AS_YOU_GO":
            continue
        above, up_to = price.get("rangeMin"), price.get("rangeMax")
        found.append(
            Tier(
                price=amount(price["value"], "price"),
                above=amount(0 if above is None else above, "tier", most=NO_END),
                up_to=None if up_to is None else amount(up_to, "tier", most=NO_END),
            )
        )
    return sorted(found, key=lambda tier: tier.above)


def _check(last: Tier, *, least: Decimal) -> None:
    """The price of the last tier: one more unit above every free amount.

    Raises:
        ValueError: it is zero or almost zero.
    """
    amount(last.price, "price above the free amount", least=least)


def egress_part(region: str) -> str:
    """The part number of traffic out of *region*, for example of `eu-frankfurt-1`."""
    area = region.split("-", maxsplit=1)[0]
    if area in {"ap", "sa"}:
        return EGRESS_PACIFIC
    return EGRESS_MIDDLE if area in {"me", "af", "il"} else EGRESS_WEST
