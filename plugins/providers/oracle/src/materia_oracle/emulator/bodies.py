"""JSON bodies and pages of the emulated Oracle Cloud."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from materia_testing.emulation.exchange import Answer, Request, counted

from materia_oracle.emulator.catalog import REGION, Shape

if TYPE_CHECKING:
    from materia_oracle.emulator.things import BootVolume, Instance


def stamp(moment: datetime) -> str:
    """A timestamp in the APIs' format."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def page(found: list[Any], request: Request, limit: int) -> Answer:
    """A page of a list; the header `opc-next-page` has the token of the next one."""
    size = min(counted(request, "limit", limit), limit)
    token = request.first("page", "token-0")
    first = int(token.removeprefix("token-")) if token.removeprefix("token-").isdecimal() else 0
    more = {"opc-next-page": f"token-{first + size}"} if first + size < len(found) else {}
    return Answer(body=found[first : first + size], headers=more)


def shape_body(shape: Shape) -> dict[str, Any]:
    """A shape in a list; a flexible one has ranges."""
    ocpus, memory = shape.fixed or (1, 12)
    body: dict[str, Any] = {
        "shape": shape.name,
        "processorDescription": "Ampere Altra" if shape.arm else "AMD EPYC",
        "ocpus": float(ocpus),
        "memoryInGBs": float(memory),
        "networkingBandwidthInGbps": 1.0,
        "maxVnicAttachments": 2,
        "gpus": 0,
        "gpuDescription": None,
        "localDisks": 0,
        "localDisksTotalSizeInGBs": None,
        "localDiskDescription": None,
        "isLiveMigrationSupported": True,
        "ocpuOptions": None,
        "memoryOptions": None,
        "isBilledForStoppedInstance": False,
        "billingType": shape.billing,
        "quotaNames": [],
        "isSubcore": shape.subcore,
        "isFlexible": shape.flexible,
        "resizeCompatibleShapes": [],
        "recommendedAlternatives": [],
    }
    if shape.flexible:
        body["ocpuOptions"] = {"min": 1.0, "max": float(shape.most_ocpus), "maxPerNumaNode": None}
        body["memoryOptions"] = {
            "minInGBs": 1.0,
            "maxInGBs": 1024.0,
            "defaultPerOcpuInGBs": 12.0,
            "minPerOcpuInGBs": 1.0,
            "maxPerOcpuInGBs": 64.0,
            "maxPerNumaNodeInGBs": None,
        }
    return body


def instance_body(instance: Instance, now: datetime) -> dict[str, Any]:
    """An instance."""
    return {
        "id": instance.id,
        "displayName": instance.name,
        "compartmentId": instance.compartment,
        "availabilityDomain": instance.domain,
        "faultDomain": "FAULT-DOMAIN-1",
        "region": REGION,
        "lifecycleState": instance.state(now),
        "timeCreated": stamp(instance.created),
        "shape": instance.shape.name,
        "shapeConfig": {
            "ocpus": instance.ocpus,
            "memoryInGBs": instance.memory_gb,
            "vcpus": int(instance.ocpus * instance.shape.vcpus_per_ocpu),
            "baselineOcpuUtilization": None,
            "gpus": 0,
            "localDisks": 0,
        },
        "imageId": instance.image,
        "sourceDetails": {"sourceType": "image", "imageId": instance.image},
        "launchMode": "PARAVIRTUALIZED",
        "metadata": instance.metadata,
        "extendedMetadata": {},
        "freeformTags": instance.tags,
        "definedTags": {},
        "systemTags": {},
    }


def volume_body(volume: BootVolume) -> dict[str, Any]:
    """A boot volume."""
    return {
        "id": volume.id,
        "displayName": volume.name,
        "availabilityDomain": volume.domain,
        "compartmentId": volume.compartment,
        "imageId": volume.image,
        "isHydrated": True,
        "lifecycleState": volume.state,
        "sizeInGBs": volume.size_gb,
        "sizeInMBs": volume.size_gb * 1024,
        "vpusPerGB": volume.vpus,
        "timeCreated": stamp(volume.created),
        "freeformTags": volume.tags,
        "definedTags": {},
        "systemTags": {},
        "volumeGroupId": None,
        "kmsKeyId": None,
        "isAutoTuneEnabled": False,
        "bootVolumeReplicas": None,
    }


def attachment_body(volume: BootVolume, *, attached: bool) -> dict[str, Any]:
    """The attachment of a boot volume to its instance, present or past."""
    return {
        "id": volume.instance,
        "availabilityDomain": volume.domain,
        "bootVolumeId": volume.id,
        "compartmentId": volume.compartment,
        "displayName": f"Remote boot attachment for {volume.name}",
        "instanceId": volume.instance,
        "lifecycleState": "ATTACHED" if attached else "DETACHED",
        "timeCreated": stamp(volume.created),
        "isPvEncryptionInTransitEnabled": False,
    }


def vnic_attachment_body(instance: Instance, *, attached: bool) -> dict[str, Any]:
    """The attachment of the network card (VNIC) to its instance."""
    return {
        "id": instance.id.replace("ocid1.instance.", "ocid1.vnicattachment."),
        "availabilityDomain": instance.domain,
        "compartmentId": instance.compartment,
        "displayName": None,
        "instanceId": instance.id,
        "lifecycleState": "ATTACHED" if attached else "ATTACHING",
        "nicIndex": 0,
        "subnetId": instance.subnet,
        "timeCreated": stamp(instance.created),
        "vnicId": instance.vnic if attached else None,
    }


def vnic_body(instance: Instance) -> dict[str, Any]:
    """The network card (VNIC), with its addresses."""
    return {
        "id": instance.vnic,
        "availabilityDomain": instance.domain,
        "compartmentId": instance.compartment,
        "displayName": instance.name,
        "hostnameLabel": None,
        "isPrimary": True,
        "lifecycleState": "AVAILABLE",
        "macAddress": "02:00:17:00:00:01",
        "nsgIds": [],
        "privateIp": "10.0.0.2",
        "publicIp": instance.host,
        "skipSourceDestCheck": False,
        "subnetId": instance.subnet,
        "timeCreated": stamp(instance.created),
        "freeformTags": {},
        "definedTags": {},
    }
