"""Oracle Cloud as of 2026-08: compute, boot volumes, network cards, identity, and the price list.

Shapes follow the published APIs, version 20160918. An instance comes with a boot volume that is
deleted with it unless the client asks to keep it, and stays listed as TERMINATED for an hour.
Instances and volumes are billed by the second, a minute at least.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from materia.machines import Billing, Money
from materia.testing.cloud.boot import Booting
from materia.testing.cloud.exchange import Answer, BadBody, Refusal, Request, route
from materia.testing.cloud.meter import Metered
from materia.testing.cloud.oracle_bodies import (
    attachment_body,
    images,
    instance_body,
    page,
    refusal,
    shape_body,
    vnic_attachment_body,
    vnic_body,
    volume_body,
)
from materia.testing.cloud.oracle_catalog import (
    DOMAINS,
    HOURS_A_MONTH,
    LIST_UPDATED,
    PERFORMANCE,
    RATES,
    REGION,
    SHAPES,
    STORAGE,
    Shape,
    price_items,
)
from materia.testing.cloud.oracle_signature import emulated_key, fault_of
from materia.testing.cloud.service import Service

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


@dataclass(slots=True, kw_only=True)
class Instance:
    """An instance; `ended_at` is when it is TERMINATED, set by its delete or by a failed boot."""

    id: str
    name: str
    compartment: str
    domain: str
    shape: Shape
    ocpus: float
    memory_gb: float
    image: str
    subnet: str
    tags: dict[str, str]
    metadata: dict[str, str]
    created: datetime
    boot: timedelta = timedelta(0)
    boots: bool = True
    invisible: timedelta = timedelta(0)
    host: str | None = None
    deleted_at: datetime | None = None
    ended_at: datetime | None = None
    keeps_volume: bool = False

    @property
    def vnic(self) -> str:
        """Identity of its network card."""
        return self.id.replace("ocid1.instance.", "ocid1.vnic.")

    def state(self, now: datetime) -> str:
        """In the API's words."""
        if self.ended_at is not None and now >= self.ended_at:
            return "TERMINATED"
        if self.deleted_at is not None:
            return "TERMINATING"
        running = self.boots and now >= self.created + self.boot
        return "RUNNING" if running else "PROVISIONING"


@dataclass(slots=True, kw_only=True)
class BootVolume:
    """A boot volume; it remembers its instance for ever."""

    id: str
    name: str
    domain: str
    compartment: str
    image: str
    size_gb: int
    vpus: int
    created: datetime
    instance: str
    state: str = "AVAILABLE"
    tags: dict[str, str] = field(default_factory=dict)


class Oracle(Service):
    """The APIs of one region and one compartment, with one user and its key.

    Attributes:
        currency: Of the account, for the bill.
        page_limit: The most one page has.
        ahead: How far the service's own clock is ahead of this machine's: with more than five
            minutes every request is refused.
        keeps_boot_volumes: Whether boot volumes stay although the client asked for their deletion.
    """

    provider = "oracle"
    create_call = ("POST", f"{V}/instances")
    delete_call = ("DELETE", f"{V}/instances/*")
    list_call = ("GET", f"{V}/instances")
    offers_call = ("GET", f"{V}/shapes")
    errors: ClassVar[Mapping[str, Answer]] = {
        "sold_out": refusal(500, "InternalError", "Out of host capacity."),
        "quota": refusal(
            400,
            "LimitExceeded",
            "The following service limits were exceeded: standard-e5-core-count. Request a service "
            "limit increase from the service limits page in the console. ",
        ),
        "compartment_quota": refusal(
            400, "QuotaExceeded", "The compartment quota standard-e5-core-count was exceeded."
        ),
        "rate_limit": refusal(429, "TooManyRequests", "Too many requests for the user"),
        "unauthorized": refusal(
            401,
            "NotAuthenticated",
            "The required information to complete authentication was not provided or was "
            "incorrect.",
        ),
        "forbidden": refusal(403, "NotAllowed", "The request is not allowed for this user."),
        "not_found": refusal(
            404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found."
        ),
        "no_shape": refusal(404, "NotAuthorizedOrNotFound", "shape VM.Standard.A1.Flex not found"),
        "conflict": refusal(409, "IncorrectState", "The resource is in an incorrect state."),
        "used_token": refusal(
            409, "InvalidatedRetryToken", "The retry token was used for another request."
        ),
        "invalid": refusal(400, "InvalidParameter", "displayName is not valid"),
        "server_error": refusal(500, "InternalServerError", "An internal server error occurred."),
        "unavailable": refusal(503, "ServiceUnavailable", "The service is unavailable."),
    }

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
        """The signature over headers and body; the date by the wall clock, as clients have it."""
        fault = fault_of(
            request,
            key_id=f"{TENANCY}/{USER}/{FINGERPRINT}",
            public=self.key.public,
            now=datetime.now(UTC) + self.ahead,
        )
        return self.errors["unauthorized"] if fault else None

    def no_route(self, request: Request) -> Answer:
        """404 as the API words it."""
        return self.errors["not_found"]

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        """400 with the field."""
        return refusal(400, "InvalidParameter", f"{bad.field} {bad.reason}")

    def decorate(self, request: Request, answer: Answer) -> Answer:
        """The request's identity, the client's own or a new one."""
        identity = request.headers.get("opc-request-id") or f"emulated-{len(self.exchanges)}"
        headers = {**answer.headers, "opc-request-id": identity}
        return Answer(status=answer.status, body=answer.body, headers=headers)

    def user_data(self, identity: str) -> str:
        """Decoded."""
        return _decoded(self.instances[identity].metadata)

    # Prices and places ---------------------------------------------------------------------

    @route("GET", f"{PRICES}/", public=True)
    def list_prices(self, request: Request) -> Answer:
        """The public list, in one currency."""
        currency = request.first("currencyCode", "USD")
        items = price_items(currency, request.first("partNumber")) if currency in RATES else []
        return Answer(body={"lastUpdated": LIST_UPDATED, "items": items})

    @route("GET", f"{PRICES}/{{part}}", public=True)
    def get_price(self, request: Request, part: str) -> Answer:
        """Oracle's edge refuses this form."""
        return Answer(status=403, body="<html><h1>Access Denied</h1></html>")

    @route("GET", f"{V}/availabilityDomains")
    def list_domains(self, request: Request) -> Answer:
        """The availability domains of the region."""
        self._compartment(request.first("compartmentId"))
        found = [
            {"name": name, "id": f"ocid1.availabilitydomain.oc1..{at}", "compartmentId": TENANCY}
            for at, name in enumerate(DOMAINS, start=1)
        ]
        return Answer(body=found)

    @route("GET", f"{V}/shapes")
    def list_shapes(self, request: Request) -> Answer:
        """The shapes of a domain, or of all."""
        self._compartment(request.first("compartmentId"))
        domain = request.first("availabilityDomain")
        if domain:
            self._domain(domain)
        found = [shape_body(shape) for shape in SHAPES if not domain or _in(shape, domain)]
        return page(found, request, self.page_limit)

    @route("POST", f"{V}/computeCapacityReports")
    def report_capacity(self, request: Request) -> Answer:
        """What could be launched now."""
        domain = self._domain(request.field("availabilityDomain", str))
        found = []
        for asked in request.field("shapeAvailabilities", list):
            shape = next((one for one in SHAPES if one.name == asked.get("instanceShape")), None)
            if shape is None or not _in(shape, domain):
                status = "HARDWARE_NOT_SUPPORTED"
            elif shape.name in self.behaviour.sold_out:
                status = "OUT_OF_HOST_CAPACITY"
            else:
                status = "AVAILABLE"
            found.append({**asked, "availabilityStatus": status, "availableCount": None})
        body = {
            "compartmentId": request.field("compartmentId", str),
            "availabilityDomain": domain,
            "timeCreated": self.now().isoformat(),
            "shapeAvailabilities": found,
        }
        return Answer(body=body)

    @route("GET", f"{V}/images")
    def list_images(self, request: Request) -> Answer:
        """By system, version and the shape that boots it."""
        shape = next((one for one in SHAPES if one.name == request.first("shape")), None)
        found = [
            image
            for image in images()
            if request.first("operatingSystem") in ("", image["operatingSystem"])
            and request.first("operatingSystemVersion") in ("", image["operatingSystemVersion"])
            and (shape is None or shape.arm == ("aarch64" in image["displayName"]))
        ]
        if request.first("sortOrder") == "DESC":
            found.reverse()
        return page(found, request, self.page_limit)

    # Instances -----------------------------------------------------------------------------

    @route("POST", f"{V}/instances")
    def launch(self, request: Request) -> Answer:
        """Once for each retry token, whatever happens to the answer."""
        token = request.headers.get("opc-retry-token", "")
        digest = hashlib.sha256(json.dumps(request.json, sort_keys=True).encode()).hexdigest()
        if (known := self.tokens.get(token)) is not None:
            since, body, identity = known
            instance = self.instances.get(identity)
            if self.now() - since < TOKEN_LIVES:
                ended = instance is None or instance.deleted_at or instance.ended_at
                if ended or body != digest or instance is None:
                    return self.errors["used_token"]
                return Answer(body=instance_body(instance, self.now()))
        instance = self._launched(request)
        if token:
            self.tokens[token] = (self.now(), digest, instance.id)
        headers = {"opc-work-request-id": f"ocid1.coreservicesworkrequest.{instance.id[-8:]}"}
        return Answer(body=instance_body(instance, self.now()), headers=headers)

    @route("GET", f"{V}/instances")
    def list_instances(self, request: Request) -> Answer:
        """By compartment, name, domain and state; there is no filter for tags."""
        compartment, now = self._compartment(request.first("compartmentId")), self.now()
        found = [
            instance_body(one, now)
            for one in self.instances.values()
            if one.compartment == compartment
            and self._visible(one)
            and request.first("displayName") in ("", one.name)
            and request.first("availabilityDomain") in ("", one.domain)
            and request.first("lifecycleState") in ("", one.state(now))
        ]
        return page(found, request, self.page_limit)

    @route("GET", f"{V}/instances/{{id}}")
    def get_instance(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One instance, for an hour after its end too."""
        return Answer(body=instance_body(self._instance(id), self.now()))

    @route("DELETE", f"{V}/instances/{{id}}")
    def terminate(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """With its boot volume, unless that is to be kept."""
        instance, now = self._instance(id), self.now()
        if instance.state(now) == "TERMINATED":
            return refusal(404, "NotAuthorizedOrNotFound", f"instance {id} not found")
        if self.behaviour.never_deletes or instance.deleted_at is not None:
            return Answer(status=204)
        instance.keeps_volume = request.first("preserveBootVolume", "false").lower() == "true"
        instance.deleted_at = now
        instance.ended_at = now + self.behaviour.delete
        self.power_off(self._booting(instance))
        self.meter.stop("instance", id, instance.ended_at)
        self.collect()
        return Answer(status=204)

    @route("GET", f"{V}/vnicAttachments")
    def list_vnic_attachments(self, request: Request) -> Answer:
        """The network card of an instance; its identity is known once it runs."""
        compartment, now = self._compartment(request.first("compartmentId")), self.now()
        found = [
            vnic_attachment_body(one, attached=one.state(now) == "RUNNING")
            for one in self.instances.values()
            if one.compartment == compartment
            and one.state(now) in {"PROVISIONING", "RUNNING"}
            and request.first("instanceId") in ("", one.id)
        ]
        return page(found, request, self.page_limit)

    @route("GET", f"{V}/vnics/{{id}}")
    def get_vnic(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Its addresses."""
        for instance in self.instances.values():
            if instance.vnic == id and instance.state(self.now()) == "RUNNING":
                return Answer(body=vnic_body(instance))
        return self.errors["not_found"]

    # Boot volumes --------------------------------------------------------------------------

    @route("GET", f"{V}/bootVolumeAttachments")
    def list_attachments(self, request: Request) -> Answer:
        """Of one domain; the detached ones too."""
        compartment = self._compartment(request.first("compartmentId"))
        domain, now = self._domain(request.first("availabilityDomain")), self.now()
        found = []
        for volume in self.volumes.values():
            instance = self.instances.get(volume.instance)
            wanted = request.first("instanceId") in ("", volume.instance)
            wanted = wanted and request.first("bootVolumeId") in ("", volume.id)
            here = volume.domain == domain and volume.compartment == compartment
            if instance is not None and wanted and here:
                attached = instance.state(now) != "TERMINATED"
                found.append(attachment_body(volume, attached=attached))
        return page(found, request, self.page_limit)

    @route("GET", f"{V}/bootVolumes")
    def list_volumes(self, request: Request) -> Answer:
        """By compartment and domain; a terminated one stays listed for a while."""
        compartment = self._compartment(request.first("compartmentId"))
        found = [
            volume_body(one)
            for one in self.volumes.values()
            if one.compartment == compartment
            and request.first("availabilityDomain") in ("", one.domain)
        ]
        return page(found, request, self.page_limit)

    @route("GET", f"{V}/bootVolumes/{{id}}")
    def get_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One boot volume."""
        return Answer(body=volume_body(self._volume(id)))

    @route("PUT", f"{V}/bootVolumes/{{id}}")
    def update_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Its name and tags."""
        volume = self._volume(id)
        if volume.state == "TERMINATED":
            return self.errors["conflict"]
        volume.tags = dict(request.json.get("freeformTags") or volume.tags)
        volume.name = request.json.get("displayName") or volume.name
        return Answer(body=volume_body(volume))

    @route("DELETE", f"{V}/bootVolumes/{{id}}")
    def delete_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Refused while its instance is there."""
        volume = self._volume(id)
        if volume.state == "TERMINATED":
            return self.errors["not_found"]
        instance = self.instances.get(volume.instance)
        if instance is not None and instance.state(self.now()) != "TERMINATED":
            return self.errors["conflict"]
        self._end_volume(volume, self.now())
        return Answer(status=204)

    # For tests -----------------------------------------------------------------------------

    def add_foreign(self) -> None:
        """A stranger's instances with boot volumes, with tags near to materia's."""
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

    # Inside --------------------------------------------------------------------------------

    def collect(self) -> None:
        """End what has come to its end, and forget what ended an hour ago."""
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
            invisible=behaviour.invisible,
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
            user_data=_decoded(instance.metadata),
            authorized_keys=tuple(key for key in keys if key.strip()),
            login="ubuntu",
            vcpus=int(instance.ocpus * (1 if instance.shape.arm else 2)),
            memory_gib=Decimal(str(instance.memory_gb)),
            disk_gib=sum(sizes),
            boot_seconds=self.boot_seconds,
        )

    def _identity(self, kind: str) -> str:
        return f"ocid1.{kind}.oc1.{REGION}.emulated{self.number():08d}"

    def _visible(self, instance: Instance) -> bool:
        return self.now() >= instance.created + instance.invisible

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
            if shape.name == wanted and _in(shape, domain):
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


def _in(shape: Shape, domain: str) -> bool:
    return DOMAINS.index(domain) + 1 in shape.domains


def _decoded(metadata: Mapping[str, str]) -> str:
    return base64.b64decode(metadata.get("user_data", "")).decode()
