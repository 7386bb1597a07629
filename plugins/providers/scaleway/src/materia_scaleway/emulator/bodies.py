"""JSON bodies and pages of the emulated Scaleway."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from materia_testing.emulation.exchange import Answer, Request, counted

from materia_scaleway.emulator.catalog import ARCHITECTURES, GIB, IMAGES, VOLUME_HOURLY, Kind

if TYPE_CHECKING:
    from materia_scaleway.emulator.things import Address, Server, Volume

OWNER = str(uuid.UUID(int=0x51B656E3))  # the owner of the public images


def stamp(moment: datetime) -> str:
    """A timestamp in the instance API's format."""
    return moment.isoformat()


def short_stamp(moment: datetime) -> str:
    """A timestamp in the block API's format."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def money(amount: Decimal) -> dict[str, Any]:
    """An amount of EUR in units and nanos."""
    units = int(amount)
    nanos = int((amount - units) * 10**9)
    return {"currency_code": "EUR", "units": units, "nanos": nanos}


def counted_page(
    key: str, found: list[Any] | dict[str, Any], request: Request, limit: int
) -> Answer:
    """A page of the instance API: the total in a header, the neighbours in `Link`."""
    size, number = _asked(request, "per_page", limit)
    last = max(1, -(-len(found) // size))
    path = "/" + request.path.split("/", 5)[-1]
    links = [
        f'<{path}?page={at}&per_page={size}&>; rel="{name}"'
        for name, at, there in (
            ("first", 1, number > 1),
            ("previous", number - 1, number > 1),
            ("next", number + 1, number < last),
            ("last", last, True),
        )
        if there
    ]
    headers = {"X-Total-Count": str(len(found)), "Link": ",".join(links)}
    return Answer(body={key: _cut(found, size, number)}, headers=headers)


def bodied_page(key: str, found: list[Any], request: Request, limit: int) -> Answer:
    """A page of the newer APIs: the total in the body."""
    size, number = _asked(request, "page_size", limit)
    return Answer(body={key: _cut(found, size, number), "total_count": len(found)})


def _asked(request: Request, name: str, limit: int) -> tuple[int, int]:
    return min(counted(request, name, limit), limit), counted(request, "page", 1)


def _cut(found: list[Any] | dict[str, Any], size: int, number: int) -> Any:
    first = (number - 1) * size
    if isinstance(found, dict):
        return dict(list(found.items())[first : first + size])
    return found[first : first + size]


def kind_body(kind: Kind) -> dict[str, Any]:
    """A server type in the instance API."""
    bandwidth = kind.vcpus * 100_000_000
    local = kind.local_gb * 10**9
    return {
        "alt_names": [],
        "arch": kind.architecture,
        "ncpus": kind.vcpus,
        "ram": kind.memory_gib * GIB,
        "gpu": 0,
        "gpu_info": None,
        "mig_profile": None,
        "volumes_constraint": {"min_size": 0, "max_size": local},
        "per_volume_constraint": {"l_ssd": {"min_size": 0, "max_size": local}},
        "scratch_storage_max_size": 0,
        "scratch_storage_max_volumes_count": 0,
        "monthly_price": float(kind.price * 730),
        "hourly_price": float(kind.price),
        "capabilities": {
            "boot_types": ["local", "rescue"],
            "placement_groups": True,
            "block_storage": True,
            "hot_snapshots_local_volume": local > 0,
            "private_network": 8,
            "max_file_systems": 0,
        },
        "network": {
            "ipv6_support": True,
            "sum_internal_bandwidth": bandwidth,
            "sum_internet_bandwidth": bandwidth,
            "interfaces": [{"internal_bandwidth": bandwidth, "internet_bandwidth": bandwidth}],
        },
        "block_bandwidth": 41_943_040 * kind.vcpus,
        "end_of_service": kind.status == "retired",
    }


def product_body(kind: Kind, zone: str) -> dict[str, Any]:
    """A server type in the product catalog."""
    arch = "x64" if kind.architecture == "x86_64" else "arm64"
    cpu: dict[str, Any] = {
        "description": f"{arch}, vCPUs: {kind.vcpus}",
        "arch": arch,
        "type": "",
        "virtual": {"count": kind.vcpus},
        "threads": kind.vcpus,
    }
    if kind.shared is not None:
        cpu["shared"] = kind.shared
    bandwidth = kind.vcpus * 100_000_000
    body: dict[str, Any] = {
        "sku": f"/compute/{kind.name.lower().replace('-', '_')}/run_{zone.replace('-', '')}",
        "service_category": "Compute",
        "product_category": "Instance",
        "product": kind.name,
        "variant": f"{kind.name} - {zone}",
        "description": f"{kind.name} - {zone} ({kind.hourly}€ per hour)",
        "locality": {"zone": zone},
        "price": {"retail_price": money(kind.price)},
        "properties": {
            "hardware": {
                "cpu": cpu,
                "ram": {
                    "description": f"{kind.memory_gib} GiB",
                    "size": kind.memory_gib * GIB,
                    "type": "",
                    "ecc_type": "standard",
                },
                "storage": {"description": "Block", "total": 0},
                "network": {
                    "description": "",
                    "internal_bandwidth": bandwidth,
                    "public_bandwidth": bandwidth,
                    "max_public_bandwidth": bandwidth,
                },
            },
            "instance": {
                "range": kind.range,
                "offer_id": kind.name,
                "recommended_replacement_offer_ids": [],
            },
        },
        "environmental_impact_estimation": {"kg_co2_equivalent": 0.001, "m3_water_usage": 1e-07},
        "unit_of_measure": {"unit": "hour", "size": 1},
        "status": kind.status,
        "badges": [],
    }
    if kind.end_of_life_at:
        body["end_of_life_at"] = kind.end_of_life_at
    return body


def volume_kinds(zone: str) -> list[dict[str, Any]]:
    """The kinds of block volume and their prices for a GB and hour."""
    return [
        {
            "type": name,
            "zone": zone,
            "pricing": money(price),
            "snapshot_pricing": money(Decimal("0.000044")),
            "specs": {"perf_iops": int(name[4:-1]) * 1000, "class": "sbs"},
        }
        for name, price in VOLUME_HOURLY.items()
    ]


def image_id(label: str, architecture: str, zone: str) -> str:
    """The id of a public image, which differs by zone."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{label}/{architecture}/{zone}"))


def local_images(zone: str, kinds: list[Kind]) -> list[dict[str, Any]]:
    """The images of a zone, with the types that can boot them."""
    return [
        {
            "id": image_id(label, architecture, zone),
            "arch": architecture,
            "zone": zone,
            "compatible_commercial_types": [
                kind.name for kind in kinds if kind.architecture == architecture
            ],
            "label": label,
            "type": "instance_sbs",
        }
        for label, _ in IMAGES
        for architecture in ARCHITECTURES
    ]


def address_body(address: Address, server: Server | None) -> dict[str, Any]:
    """A flexible address."""
    return {
        "id": address.id,
        "address": address.ip,
        "prefix": None,
        "reverse": None,
        "server": {"id": server.id, "name": server.name} if server else None,
        "organization": address.project,
        "project": address.project,
        "zone": address.zone,
        "type": "routed_ipv4",
        "state": "attached" if server else "detached",
        "tags": address.tags,
        "ipam_id": str(uuid.uuid5(uuid.NAMESPACE_URL, address.id)),
    }


def _server_address(address: Address) -> dict[str, Any]:
    return {
        "id": address.id,
        "address": address.ip,
        "dynamic": address.dynamic,
        "gateway": "192.0.2.254",
        "netmask": "32",
        "family": "inet",
        "provisioning_mode": "dhcp",
        "tags": address.tags,
        "state": "attached",
        "ipam_id": str(uuid.uuid5(uuid.NAMESPACE_URL, address.id)),
    }


def server_body(
    server: Server, addresses: list[Address], volumes: list[Volume], now: datetime
) -> dict[str, Any]:
    """A server."""
    state, detail, actions = server.state(now)
    public = [_server_address(address) for address in addresses]
    changed = stamp(server.powered or server.created)
    return {
        "id": server.id,
        "name": server.name,
        "arch": server.kind.architecture,
        "commercial_type": server.kind.name,
        "boot_type": "local",
        "organization": server.project,
        "project": server.project,
        "hostname": server.name,
        "image": _image(server),
        "volumes": {
            str(at): {
                "boot": False,
                "volume_type": "sbs_volume",
                "id": volume.id,
                "state": "available",
                "zone": volume.zone,
            }
            for at, volume in enumerate(volumes)
        },
        "tags": server.tags,
        "state": state,
        "protected": False,
        "state_detail": detail,
        "public_ip": public[0] if public else None,
        "public_ips": public,
        "mac_address": "de:00:00:00:00:01",
        "routed_ip_enabled": True,
        "ipv6": None,
        "extra_networks": [],
        "dynamic_ip_required": server.dynamic,
        "enable_ipv6": False,
        "private_ip": None,
        "creation_date": stamp(server.created),
        "modification_date": changed,
        "bootscript": None,
        "security_group": {"id": OWNER, "name": "Default security group"},
        "location": None,
        "maintenances": [],
        "allowed_actions": list(actions),
        "placement_group": None,
        "private_nics": [],
        "zone": server.zone,
        "filesystems": [],
        "end_of_service": False,
        "dns": f"{server.id}.pub.instances.scw.cloud",
    }


def _image(server: Server) -> dict[str, Any]:
    made = "2026-05-12T15:20:10.934226+00:00"
    name = dict(IMAGES)[server.image]
    return {
        "id": image_id(server.image, server.kind.architecture, server.zone),
        "name": name,
        "organization": OWNER,
        "project": OWNER,
        "root_volume": {"volume_type": "sbs_snapshot", "id": OWNER, "size": 0, "name": ""},
        "extra_volumes": {},
        "public": True,
        "arch": server.kind.architecture,
        "creation_date": made,
        "modification_date": made,
        "default_bootscript": None,
        "from_server": "",
        "state": "available",
        "tags": [],
        "zone": server.zone,
    }


def volume_body(volume: Volume) -> dict[str, Any]:
    """A block volume."""
    references: list[Mapping[str, Any]] = []
    if volume.server:
        references.append(
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{volume.id}/{volume.server}")),
                "product_resource_type": "instance_server",
                "product_resource_id": volume.server,
                "created_at": short_stamp(volume.created),
                "type": "exclusive",
                "status": "attached",
            }
        )
    return {
        "id": volume.id,
        "name": volume.name,
        "type": "sbs_5k",
        "size": volume.size,
        "project_id": volume.project,
        "created_at": short_stamp(volume.created),
        "updated_at": short_stamp(volume.created),
        "references": references,
        "parent_snapshot_id": OWNER,
        "status": "in_use" if volume.server else "available",
        "tags": volume.tags,
        "specs": {"perf_iops": 5000, "class": "sbs"},
        "last_detached_at": None,
        "kms_key_id": None,
        "zone": volume.zone,
    }
