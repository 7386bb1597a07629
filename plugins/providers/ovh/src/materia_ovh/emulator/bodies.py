"""JSON bodies of the emulated OVHcloud Public Cloud."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from typing import Any

from materia_ovh.emulator.catalog import NO_QUOTA, SOLD_OUT, Flavor, plan_code
from materia_ovh.emulator.things import OvhInstance, SshKey, Volume


def flavor_body(flavor: Flavor, region: str, sold_out: frozenset[str]) -> dict[str, Any]:
    """A flavor in one region; *sold_out* names those without stock everywhere."""
    gone = (region, flavor.name) in SOLD_OUT or flavor.name in sold_out
    # The unit of `ram` is documented as GiB and was seen as MiB: this sends some of each.
    ram = flavor.ram_gib * 1024 if region == "BHS5" else flavor.ram_gib
    return {
        "id": identity_of(region, flavor.name),
        "name": flavor.name,
        "region": region,
        "ram": ram,
        "disk": flavor.disk_gib,
        "vcpus": flavor.vcpus,
        "type": "ovh.ssd.eg",
        "osType": flavor.os_type,
        "inboundBandwidth": 500,
        "outboundBandwidth": 500,
        "available": not gone,
        "planCodes": {
            "hourly": plan_code(flavor, region),
            "monthly": f"{flavor.name}.monthly.postpaid",
            "license": None,
        },
        "capabilities": [{"name": "snapshot", "enabled": True}],
        "quota": 0 if flavor.name in NO_QUOTA else 20,
    }


def image_body(name: str, user: str, region: str) -> dict[str, Any]:
    """A public image in one region."""
    return {
        "id": identity_of(region, name),
        "name": name,
        "region": region,
        "visibility": "public",
        "status": "active",
        "type": "linux",
        "minDisk": 0,
        "minRam": 0,
        "size": 2.0,
        "creationDate": "2026-06-01T07:39:56Z",
        "user": user,
        "flavorType": None,
        "tags": [],
        "planCode": None,
        "deprecated": False,
    }


def key_body(key: SshKey) -> dict[str, Any]:
    """An SSH key."""
    return {
        "id": key.id,
        "name": key.name,
        "publicKey": key.public_key,
        "regions": key.regions,
        "fingerPrint": hashlib.md5(key.public_key.encode(), usedforsecurity=False).hexdigest(),
    }


def volume_body(volume: Volume) -> dict[str, Any]:
    """A volume."""
    return {
        "id": volume.id,
        "name": volume.name,
        "description": "",
        "size": volume.size_gb,
        "status": "in-use" if volume.attached_to else "available",
        "region": volume.region,
        "type": "classic",
        "bootable": False,
        "planCode": "volume.classic.consumption",
        "attachedTo": volume.attached_to,
        "created": f"{volume.created:%Y-%m-%dT%H:%M:%SZ}",
    }


def _common(instance: OvhInstance, now: datetime) -> dict[str, Any]:
    status = instance.status(now)
    addresses = [
        {
            "ip": instance.address,
            "type": "public",
            "version": 4,
            "networkId": "emulated-ext-net",
            "gatewayIp": "192.0.2.254",
        }
    ]
    return {
        "id": instance.id,
        "name": instance.name,
        "status": status,
        "region": instance.region,
        "created": f"{instance.created:%Y-%m-%dT%H:%M:%SZ}",
        "ipAddresses": addresses if status == "ACTIVE" else [],
        "monthlyBilling": None,
        "planCode": plan_code(instance.flavor, instance.region),
        "licensePlanCode": None,
        "operationIds": [],
        "currentMonthOutgoingTraffic": None,
        "rescuePassword": None,
        "availabilityZone": None,
    }


def listed_body(instance: OvhInstance, now: datetime) -> dict[str, Any]:
    """An instance in a list."""
    return {
        **_common(instance, now),
        "flavorId": identity_of(instance.region, instance.flavor.name),
        "imageId": instance.image["id"],
        "sshKeyId": instance.key.id if instance.key else None,
    }


def detail_body(instance: OvhInstance, now: datetime) -> dict[str, Any]:
    """An instance in an answer of its own."""
    return {
        **_common(instance, now),
        "flavor": flavor_body(instance.flavor, instance.region, frozenset()),
        "image": instance.image,
        "sshKey": key_body(instance.key) if instance.key else None,
    }


def identity_of(region: str, name: str) -> str:
    """The id of a flavor or image: stable, and different in each region."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"emulated:{region}:{name}"))
