"""JSON bodies and pages of the emulated Hetzner Cloud."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from materia_testing.emulation.exchange import Answer, Request, counted

from materia_hetzner.emulator.catalog import (
    EUROPE,
    IPV4_HOURLY,
    IPV4_MONTHLY,
    LOCATIONS,
    SERVER_TYPES,
    VAT_RATE,
    VOLUME_GB_MONTHLY,
    Price,
    ServerType,
)
from materia_hetzner.emulator.formats import selects, stamp

if TYPE_CHECKING:
    from materia_hetzner.emulator.project import HetznerProject
    from materia_hetzner.emulator.things import Address, Firewall, Key, Server, Volume

# For keys and values; a key may have a DNS prefix.
LABEL_PATTERN = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
WITHDRAWN = {"announced": "2025-10-01T00:00:00+00:00", "unavailable_after": "2026-01-01T00:00:00Z"}


def page(key: str, bodies: list[Any], request: Request) -> Answer:
    """One page of *bodies*: 25 at a time, 50 at most."""
    size = min(counted(request, "per_page", 25), 50)
    number = counted(request, "page", 1)
    last = max(1, -(-len(bodies) // size))
    pagination = {
        "page": number,
        "per_page": size,
        "previous_page": number - 1 if number > 1 else None,
        "next_page": number + 1 if number < last else None,
        "last_page": last,
        "total_entries": len(bodies),
    }
    shown = bodies[(number - 1) * size : number * size]
    return Answer(body={key: shown, "meta": {"pagination": pagination}})


def _money(net: Decimal) -> dict[str, str]:
    return {"net": f"{net:.10f}", "gross": f"{net * (1 + VAT_RATE / 100):.16f}"}


def _price(location: str, price: Price) -> dict[str, Any]:
    return {
        "location": location,
        "price_hourly": _money(price.hourly),
        "price_monthly": _money(price.monthly),
        "included_traffic": price.included_traffic,
        "price_per_tb_traffic": _money(price.per_tb),
    }


def location_body(name: str) -> dict[str, Any]:
    """A location."""
    number, (_, country, city, zone) = next(
        (number, each) for number, each in enumerate(LOCATIONS, start=1) if each[0] == name
    )
    return {
        "id": number,
        "name": name,
        "description": f"{city} DC Park 1",
        "country": country,
        "city": city,
        "latitude": 50.0,
        "longitude": 12.0,
        "network_zone": zone,
    }


def type_body(kind: ServerType, sold_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A server type, with prices and availability in each of its locations."""
    deprecation = WITHDRAWN if kind.withdrawn else None
    available = kind.on_sale and not kind.withdrawn and kind.name not in sold_out
    return {
        "id": kind.id,
        "name": kind.name,
        "description": kind.name.upper(),
        "category": "General purpose" if kind.cpu_type == "dedicated" else "Shared vCPU",
        "cores": kind.cores,
        "memory": float(kind.memory_gb),
        "disk": kind.disk_gb,
        "cpu_type": kind.cpu_type,
        "storage_type": "local",
        "architecture": kind.architecture,
        "deprecated": kind.withdrawn,
        "deprecation": deprecation,
        "prices": [_price(location, price) for location, price in kind.prices.items()],
        "locations": [
            {
                "id": location_body(location)["id"],
                "name": location,
                "deprecation": deprecation,
                "available": available,
                "recommended": available and location in EUROPE,
            }
            for location in kind.prices
        ],
    }


def pricing_body(currency: str) -> dict[str, Any]:
    """The price list: addresses, images, volumes and backups beside server types."""
    places = [name for name, *_ in LOCATIONS]

    def address(kind: str, hourly: Decimal, monthly: Decimal) -> dict[str, Any]:
        return {
            "type": kind,
            "prices": [
                {
                    "location": place,
                    "price_hourly": _money(hourly),
                    "price_monthly": _money(monthly),
                }
                for place in places
            ],
        }

    floating = [
        {"type": "ipv4", "prices": [{"location": place, "price_monthly": _money(Decimal("3.0"))}]}
        for place in places
    ]
    return {
        "currency": currency,
        "vat_rate": f"{VAT_RATE:.6f}",
        "primary_ips": [
            address("ipv4", IPV4_HOURLY, IPV4_MONTHLY),
            address("ipv6", Decimal(0), Decimal(0)),
        ],
        "floating_ip": {"price_monthly": _money(Decimal("3.0"))},
        "floating_ips": floating,
        "image": {"price_per_gb_month": _money(Decimal("0.0143"))},
        "volume": {"price_per_gb_month": _money(VOLUME_GB_MONTHLY)},
        "server_backup": {"percentage": "20.00"},
        "load_balancer_types": [],
        "server_types": [
            {
                "id": kind.id,
                "name": kind.name,
                "prices": [_price(location, price) for location, price in kind.prices.items()],
            }
            for kind in SERVER_TYPES
        ],
    }


def key_body(key: Key) -> dict[str, Any]:
    """An SSH key."""
    return {
        "id": key.id,
        "name": key.name,
        "fingerprint": key.fingerprint,
        "public_key": key.public_key,
        "labels": key.labels,
        "created": stamp(key.created),
    }


def address_body(address: Address) -> dict[str, Any]:
    """A primary IP; since 2026-08-01 one without a server is of type `unassigned`."""
    return {
        "id": address.id,
        "name": address.name,
        "type": address.type,
        "ip": address.ip,
        "labels": address.labels,
        "assignee_id": address.assignee,
        "assignee_type": "unassigned" if address.assignee is None else "server",
        "auto_delete": address.auto_delete,
        "blocked": False,
        "created": stamp(address.created),
        "dns_ptr": [],
        "location": location_body(address.location),
        "protection": {"delete": False},
    }


def volume_body(volume: Volume) -> dict[str, Any]:
    """A volume."""
    return {
        "id": volume.id,
        "name": volume.name,
        "size": volume.size_gb,
        "server": volume.server,
        "status": "available",
        "format": volume.format,
        "linux_device": f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}",
        "labels": volume.labels,
        "created": stamp(volume.created),
        "location": location_body(volume.location),
        "protection": {"delete": volume.protected},
    }


def firewall_body(firewall: Firewall, cloud: HetznerProject) -> dict[str, Any]:
    """A firewall, with the servers that it applies to."""

    def target(given: int | str) -> dict[str, Any]:
        if isinstance(given, int):
            return {"type": "server", "server": {"id": given}}
        servers = [each.id for each in cloud.servers.values() if selects(given, each.labels)]
        return {
            "type": "label_selector",
            "label_selector": {"selector": given},
            "applied_to_resources": [
                {"type": "server", "server": {"id": number}} for number in servers
            ],
        }

    return {
        "id": firewall.id,
        "name": firewall.name,
        "labels": firewall.labels,
        "created": stamp(firewall.created),
        "rules": firewall.rules,
        "applied_to": [target(given) for given in firewall.targets],
    }


def server_body(server: Server, cloud: HetznerProject, now: datetime) -> dict[str, Any]:
    """A server. Empty labels are a list: the real API was seen to send that."""
    ipv4, ipv6 = (cloud.addresses.get(number or 0) for number in (server.ipv4, server.ipv6))
    return {
        "id": server.id,
        "name": server.name,
        "status": server.status(now),
        "created": stamp(server.created),
        "labels": server.labels or [],
        "server_type": type_body(server.type),
        "location": location_body(server.location),
        "image": server.image,
        "public_net": {
            "ipv4": ipv4
            and {
                "id": ipv4.id,
                "ip": ipv4.ip,
                "blocked": False,
                "dns_ptr": f"static.{ipv4.ip}.clients.example",
            },
            "ipv6": ipv6 and {"id": ipv6.id, "ip": ipv6.ip, "blocked": False, "dns_ptr": []},
            "floating_ips": [],
            "firewalls": [
                {"id": each.id, "status": "applied"}
                for each in cloud.firewalls.values()
                if each.applies(server)
            ],
        },
        "private_net": [],
        "volumes": [each.id for each in cloud.volumes.values() if each.server == server.id],
        "load_balancers": [],
        "placement_group": None,
        "iso": None,
        "rescue_enabled": False,
        "locked": False,
        "protection": {"delete": server.protected, "rebuild": server.protected},
        "backup_window": None,
        "included_traffic": server.type.prices[server.location].included_traffic,
        "ingoing_traffic": 0,
        "outgoing_traffic": 0,
        "primary_disk_size": server.disk_gb,
    }
