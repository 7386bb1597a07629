"""State of the emulated Oracle Cloud: one tenancy, its resources and their bill."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from materia.compute import Billing, Money
from materia_testing.emulation.exchange import Answer, BadBody, Refusal, Request
from materia_testing.emulation.meter import Metered
from materia_testing.emulation.service import Service
from materia_testing.emulation.ssh_machines.boot import Booting

from materia_oracle.emulator.catalog import (
    DOMAINS,
    HOURS_A_MONTH,
    PERFORMANCE,
    RATES,
    REGION,
    SHAPES,
    STORAGE,
    Shape,
    images,
)
from materia_oracle.emulator.errors import ERRORS, refusal
from materia_oracle.emulator.signature import emulated_key, fault_of
from materia_oracle.emulator.things import BootVolume, Instance

V = "/20160918"
PRICES = "/pls/apex/cetools/api/v1/products"
PER_SECOND = Billing(increment=timedelta(seconds=1), minimum=timedelta(minutes=1))
LISTED_AFTER_END = timedelta(hours=1)
TOKEN_LIVES = timedelta(hours=24)
METADATA_LIMIT = 32_000
SMALLEST_VOLUME_GB = 50
TENANCY = "ocid1.tenancy.oc1..emulated"
USER = "ocid1.user.oc1..emulated"
FINGERPRINT = "20:14:c6:ab:5e:01:77:d0:9f:31:aa:0b:44:e9:12:6d"
COMPARTMENT = "ocid1.compartment.oc1..emulated"
SUBNET = f"ocid1.subnet.oc1.{REGION}.emulated"


class Tenancy(Service):
    """One region and one compartment, with one user, its key, and all resources there.

    Attributes:
        currency: The account's currency, for the bill.
        page_limit: The largest number of entries in one page.
        ahead: How far the service's own clock is ahead of this machine's: above five minutes
            the service refuses every request.
        keeps_boot_volumes: Whether boot volumes stay although the client asked for their deletion.
    """

    provider = "oracle"
    errors: ClassVar[Mapping[str, Answer]] = ERRORS

    def __init__(self, *, currency: str = "EUR", **options: Any) -> None:
        super().__init__(**options)
        self.currency = currency
        self.page_limit = 100
        self.ahead = timedelta(0)
        self.keeps_boot_volumes = False
        self.key = emulated_key()
        self.instances: dict[str, Instance] = {}
        self.volumes: dict[str, BootVolume] = {}
        self.tokens: dict[str, tuple[datetime, str, str]] = {}

    def secrets(self) -> dict[str, str]:
        """The user, its key and the region."""
        return {
            "OCI_CLI_USER": USER,
            "OCI_CLI_TENANCY": TENANCY,
            "OCI_CLI_FINGERPRINT": FINGERPRINT,
            "OCI_CLI_KEY_CONTENT": self.key.private_pem,
            "OCI_CLI_REGION": REGION,
        }

    def settings(self) -> dict[str, object]:
        """The addresses, the compartment and the subnet."""
        return {
            "api_url": self.url,
            "price_list_url": f"{self.url}{PRICES}/",
            "compartment": COMPARTMENT,
            "subnet": SUBNET,
        }

    def authenticate(self, request: Request) -> Answer | None:
        """The signature over headers and body; the date is checked by the wall clock of clients."""
        fault = fault_of(
            request,
            key_id=f"{TENANCY}/{USER}/{FINGERPRINT}",
            public=self.key.public,
            now=datetime.now(UTC) + self.ahead,
        )
        return self.errors["unauthorized"] if fault else None

    def no_route(self, request: Request) -> Answer:
        """404 in the API's format."""
        return self.errors["not_found"]

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        """400 that names the field."""
        return refusal(400, "InvalidParameter", f"{bad.field} {bad.reason}")

    def decorate(self, request: Request, answer: Answer) -> Answer:
        """The id of the request, from the client or new."""
        identity = request.headers.get("opc-request-id") or f"emulated-{len(self.exchanges)}"
        headers = {**answer.headers, "opc-request-id": identity}
        return Answer(status=answer.status, body=answer.body, headers=headers)

    def user_data(self, identity: str) -> str:
        """Decoded."""
        return decoded(self.instances[identity].metadata)

    # For tests -----------------------------------------------------------------------------

    def add_foreign(self) -> None:
        """Add foreign instances with boot volumes, with tags close to materia's."""
        shape = next(one for one in SHAPES if one.name == "VM.Standard.E4.Flex")
        near: tuple[dict[str, str], ...] = (
            {},
            {"materia": "yes", "stage": "extract"},
            {"materia-run": "nightly", "materia-name": "web"},
        )
        for tags in near:
            instance = Instance(
                id=self._identity("instance"),
                name="materia-web",
                compartment=COMPARTMENT,
                domain=DOMAINS[0],
                shape=shape,
                ocpus=1.0,
                memory_gb=8.0,
                image=images()[0]["id"],
                subnet=SUBNET,
                tags=dict(tags),
                metadata={},
                created=self.now(),
            )
            self._place(instance, SMALLEST_VOLUME_GB, 10, foreign=True).tags = dict(tags)

    def add_look_alike(self, identity: str) -> str:
        """Add a foreign database whose instance and boot volume have a worker's tags."""
        worker = self.instances[identity]
        with self.lock:
            instance = replace(
                worker, id=self._identity("instance"), name="precious-db", tags=dict(worker.tags)
            )
            volume = self._place(instance, SMALLEST_VOLUME_GB, 10, foreign=True)
            volume.tags = dict(worker.tags)
        return instance.id

    # Inside --------------------------------------------------------------------------------

    def collect(self) -> None:
        """End what is due, and forget what ended an hour ago."""
        now = self.now()
        for instance in list(self.instances.values()):
            if instance.ended_at is None or instance.ended_at > now:
                continue
            for volume in self.volumes.values():
                kept = instance.keeps_volume or self.keeps_boot_volumes
                if volume.instance == instance.id and volume.state == "AVAILABLE" and not kept:
                    self._end_volume(volume, instance.ended_at)
            if now - instance.ended_at > LISTED_AFTER_END:
                del self.instances[instance.id]

    def _launched(self, request: Request) -> Instance:
        compartment = self._compartment(request.field("compartmentId", str))
        domain = self._domain(request.field("availabilityDomain", str))
        shape = self._shape(request, domain)
        image = self._image(request, shape)
        subnet = (request.json.get("createVnicDetails") or {}).get("subnetId")
        if subnet != SUBNET:
            raise Refusal(self.errors["not_found"])
        size = int(request.field("sourceDetails", dict).get("bootVolumeSizeInGBs") or 50)
        if size < SMALLEST_VOLUME_GB:
            raise BadBody("bootVolumeSizeInGBs", f"must be at least {SMALLEST_VOLUME_GB}")
        metadata = dict(request.json.get("metadata") or {})
        if len(json.dumps(metadata)) > METADATA_LIMIT:
            raise BadBody("metadata", f"must not be longer than {METADATA_LIMIT} bytes")
        ocpus, memory = self._size(request, shape)
        if shape.name in self.behaviour.sold_out:
            raise Refusal(self.errors["sold_out"])
        behaviour, now = self.behaviour, self.now()
        instance = Instance(
            id=self._identity("instance"),
            name=str(request.json.get("displayName") or "instance"),
            compartment=compartment,
            domain=domain,
            shape=shape,
            ocpus=ocpus,
            memory_gb=memory,
            image=image,
            subnet=subnet,
            tags=dict(request.json.get("freeformTags") or {}),
            metadata=metadata,
            created=now,
            boot=behaviour.boot,
            boots=not (behaviour.never_boots or behaviour.boot_fails),
        )
        vpus = int(request.field("sourceDetails", dict).get("bootVolumeVpusPerGB") or 10)
        self._place(instance, size, vpus)
        if behaviour.boot_fails:
            instance.ended_at = now + behaviour.boot
            self.meter.stop("instance", instance.id, instance.ended_at)
        return instance

    def _place(
        self, instance: Instance, size_gb: int, vpus: int, *, foreign: bool = False
    ) -> BootVolume:
        self.instances[instance.id] = instance
        volume = BootVolume(
            id=self._identity("bootvolume"),
            name=f"{instance.name} (Boot Volume)",
            domain=instance.domain,
            compartment=instance.compartment,
            image=instance.image,
            size_gb=size_gb,
            vpus=vpus,
            created=instance.created,
            instance=instance.id,
        )
        self.volumes[volume.id] = volume
        hourly = instance.shape.hourly(instance.ocpus, instance.memory_gb, self.currency)
        monthly = (STORAGE + vpus * PERFORMANCE) * size_gb * RATES[self.currency]
        self._bill("instance", instance.id, instance.name, hourly, foreign=foreign)
        volume_hourly = monthly / HOURS_A_MONTH
        self._bill("volume", volume.id, instance.name, volume_hourly, foreign=foreign)
        if not foreign:
            instance.host = self.power_on(self._booting(instance))
        instance.host = instance.host or self.documentation_address()
        return volume

    def _bill(self, kind: str, identity: str, name: str, hourly: Decimal, *, foreign: bool) -> None:
        self.meter.start(
            Metered(
                kind=kind,
                id=identity,
                name=name,
                region=REGION,
                hourly=Money(hourly, self.currency),
                billing=PER_SECOND,
                started_at=self.now(),
                foreign=foreign,
            )
        )

    def _end_volume(self, volume: BootVolume, at: datetime) -> None:
        volume.state = "TERMINATED"
        self.meter.stop("volume", volume.id, at)

    def _booting(self, instance: Instance) -> Booting:
        keys = instance.metadata.get("ssh_authorized_keys", "").splitlines()
        sizes = [one.size_gb for one in self.volumes.values() if one.instance == instance.id]
        return Booting(
            provider=self.provider,
            id=instance.id,
            name=instance.name,
            user_data=decoded(instance.metadata),
            authorized_keys=tuple(key for key in keys if key.strip()),
            login="ubuntu",
            vcpus=int(instance.ocpus * instance.shape.vcpus_per_ocpu),
            memory_gib=Decimal(str(instance.memory_gb)),
            disk_gib=sum(sizes),
            boot_seconds=self.boot_seconds,
        )

    def _identity(self, kind: str) -> str:
        return f"ocid1.{kind}.oc1.{REGION}.emulated{self.number():08d}"

    def _visible(self, instance: Instance) -> bool:
        return self.now() >= instance.created + self.behaviour.invisible

    def _instance(self, identity: str) -> Instance:
        instance = self.instances.get(identity)
        if instance is None or not self._visible(instance):
            raise Refusal(refusal(404, "NotAuthorizedOrNotFound", f"instance {identity} not found"))
        return instance

    def _volume(self, identity: str) -> BootVolume:
        if identity not in self.volumes:
            raise Refusal(self.errors["not_found"])
        return self.volumes[identity]

    def _compartment(self, identity: str) -> str:
        if identity not in (COMPARTMENT, TENANCY):
            raise Refusal(self.errors["not_found"])
        return identity

    def _domain(self, name: str) -> str:
        if name not in DOMAINS:
            raise BadBody("availabilityDomain", f"{name!r} is not in {REGION}")
        return name

    def _shape(self, request: Request, domain: str) -> Shape:
        wanted = request.field("shape", str)
        for shape in SHAPES:
            if shape.name == wanted and has(shape, domain):
                return shape
        raise Refusal(refusal(404, "NotAuthorizedOrNotFound", f"shape {wanted} not found"))

    def _image(self, request: Request, shape: Shape) -> str:
        source = request.field("sourceDetails", dict)
        for image in images():
            if image["id"] == source.get("imageId") and source.get("sourceType") == "image":
                if shape.arm != ("aarch64" in image["displayName"]):
                    raise BadBody("imageId", f"the image does not boot {shape.name}")
                return str(image["id"])
        raise Refusal(self.errors["not_found"])

    def _size(self, request: Request, shape: Shape) -> tuple[float, float]:
        if shape.fixed is not None:
            ocpus, memory = shape.fixed
            return float(ocpus), float(memory)
        config = request.field("shapeConfig", dict)
        chosen, size = float(config.get("ocpus") or 0), float(config.get("memoryInGBs") or 0)
        if not 1 <= chosen <= shape.most_ocpus:
            raise BadBody("ocpus", f"must be from 1 to {shape.most_ocpus}")
        if not chosen <= size <= min(64 * chosen, 1024):
            raise BadBody("memoryInGBs", "must be from 1 to 64 for each OCPU")
        return chosen, size


def has(shape: Shape, domain: str) -> bool:
    """Whether the domain has the shape."""
    return DOMAINS.index(domain) + 1 in shape.domains


def decoded(metadata: Mapping[str, str]) -> str:
    """The user data of an instance."""
    return base64.b64decode(metadata.get("user_data", "")).decode()
