"""What OVHcloud says of one flavor: its plan in the catalog, and the flavor in a project."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from materia.compute import Offer
from materia_ovh.offers import read_offers

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def addon(plan: str = "b3-8.consumption", price: int = 5_760_000, **changes: Any) -> dict[str, Any]:
    """A plan of the catalog."""
    pricing = {
        "capacities": ["consumption"],
        "interval": 1,
        "intervalUnit": "hour",
        "price": price,
        "tax": 1,
    }
    return {
        "planCode": plan,
        "invoiceName": plan.split(".", maxsplit=1)[0],
        "product": "publiccloud-instance",
        "pricings": [{**pricing, "intervalUnit": "month", "price": 1}, pricing],
        "blobs": {
            "commercial": {"brickSubtype": "general purpose"},
            "technical": {
                "os": {"family": "linux"},
                "cpu": {"cores": 2},
                "memory": {"size": 8},
                "storage": {"disks": [{"capacity": 50}]},
            },
            "tags": ["active"],
        },
        **changes,
    }


def flavor(**changes: Any) -> dict[str, Any]:
    """A flavor of a project."""
    return {
        "id": "f",
        "name": "b3-8",
        "region": "GRA11",
        "ram": 8,
        "disk": 50,
        "vcpus": 2,
        "osType": "linux",
        "available": True,
        "quota": 5,
        "planCodes": {"hourly": "b3-8.consumption", "monthly": None, "license": None},
        **changes,
    }


def read(flavors: list[dict[str, Any]], *addons: dict[str, Any]) -> list[Offer]:
    """What the plugin offers when it is told of these."""
    catalog = {"locale": {"currencyCode": "EUR"}, "addons": list(addons or [addon()])}
    return list(read_offers(catalog, flavors, source="s", now=NOW))
