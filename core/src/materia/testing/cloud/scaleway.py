"""Scaleway as of 2026-08: instance v1, block v1, marketplace v2 and the public product catalog.

Shapes follow the published APIs. A server is created stopped, gets its user data, and is powered
on. Its boot volume is a block volume of its own, created without tags, and only detached when the
server is terminated; a flexible address stays too. Each of the three is billed by itself, by the
started hour, and an address costs EUR 0.01 at least.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from materia.machines import Money
from materia.testing.cloud.boot import Booting
from materia.testing.cloud.exchange import Answer, BadBody, Refusal, Request, route
from materia.testing.cloud.meter import Metered
from materia.testing.cloud.scaleway_bodies import (
    address_body,
    bodied_page,
    counted_page,
    image_id,
    invalid,
    kind_body,
    local_images,
    product_body,
    refusal,
    server_body,
    stamp,
    volume_body,
    volume_kinds,
)
from materia.testing.cloud.scaleway_catalog import (
    ADDRESS_HOURLY,
    ADDRESS_MINIMUM,
    IMAGES,
    VOLUME_HOURLY,
    ZONES,
    Kind,
    kinds_in,
)
from materia.testing.cloud.service import Service

INSTANCE = "/instance/v1/zones/{zone}"
BLOCK = "/block/v1/zones/{zone}"
USER_DATA_LIMIT = 127_998
DEFAULT_VOLUME = 10 * 10**9


@dataclass(slots=True, kw_only=True)
class Server:
    """A server: stopped until `powered`, going from `ended`, and gone at `gone_at`."""

    id: str
    zone: str
    name: str
    project: str
    kind: Kind
    image: str
    tags: list[str]
    created: datetime
    dynamic: bool
    invisible: timedelta = timedelta(0)
    user_data: dict[str, bytes] = field(default_factory=dict)
    powered: datetime | None = None
    boot: timedelta = timedelta(0)
    never_boots: bool = False
    boot_fails: bool = False
    halted: bool = False
    gone_at: datetime | None = None

    def state(self, now: datetime) -> tuple[str, str, tuple[str, ...]]:
        """State, its detail, and the actions that are allowed in it."""
        if self.gone_at is not None:
            return "stopping", "terminating", ("stop_in_place", "backup")
        if self.halted:
            return "stopped in place", "", ("poweron", "terminate", "backup")
        if self.powered is None:
            return "stopped", "", ("poweron", "backup")
        if self.never_boots or now < self.powered + self.boot:
            return "starting", "allocating node", ("stop_in_place", "backup")
        if self.boot_fails:
            return "stopped", "", ("poweron", "backup")
        allowed = ("poweroff", "terminate", "reboot", "stop_in_place", "backup")
        return "running", "booting kernel", allowed


@dataclass(slots=True, kw_only=True)
class Volume:
    """A block volume."""

    id: str
    zone: str
    name: str
    project: str
    size: int
    created: datetime
    server: str | None
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Address:
    """A flexible address; a dynamic one goes with its server."""

    id: str
    zone: str
    ip: str
    project: str
    server: str | None
    tags: list[str]
    dynamic: bool = False


class Scaleway(Service):
    """The APIs, with one project and its key.

    Attributes:
        secret_key: May do everything in the project.
        project: Its ID.
        page_limit: The most one page has.
    """

    provider = "scaleway"
    create_call = ("POST", "/instance/v1/zones/*/servers")
    delete_call = ("POST", "/instance/v1/zones/*/servers/*/action")
    list_call = ("GET", "/instance/v1/zones/*/servers")
    offers_call = ("GET", "/product-catalog/v2alpha1/public-catalog/products")
    # Nobody has recorded out_of_stock and 429; their words are those of Scaleway's Go SDK.
    errors: ClassVar[Mapping[str, Answer]] = {
        "sold_out": refusal(
            503, "out_of_stock", "the requested resource is out of stock", resource="instance"
        ),
        "quota": refusal(
            403,
            "quotas_exceeded",
            "quota(s) exceeded for this resource",
            details=[{"resource": "instance_server", "quota": 1, "current": 1}],
        ),
        "older_quota": refusal(403, "invalid_request_error", "Quota exceeded for this resource."),
        "rate_limit": refusal(429, "too_many_requests", "too many requests"),
        "unauthorized": refusal(
            401,
            "denied_authentication",
            "authentication is denied",
            method="api_key",
            reason="not_found",
        ),
        "forbidden": refusal(
            403,
            "permissions_denied",
            "insufficient permissions",
            details=[{"action": "write", "resource": "compute_server"}],
        ),
        "not_found": refusal(404, "not_found", "resource is not found", resource="instance_server"),
        "conflict": refusal(
            409,
            "transient_state",
            "resource is in a transient state",
            resource="instance_server",
            current_state="starting",
        ),
        "precondition": refusal(
            412,
            "precondition_failed",
            "precondition is not respected",
            precondition="resource_still_in_use",
            help_message="the resource is in use",
        ),
        "invalid": invalid("name", "constraint", "not a valid value"),
        "server_error": refusal(500, "internal_error", "internal server error"),
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.secret_key = str(uuid.UUID(int=0x5CA1E3A7))
        self.project = str(uuid.UUID(int=0x9807EC7))
        self.page_limit = 50
        self.servers: dict[str, Server] = {}
        self.volumes: dict[str, Volume] = {}
        self.addresses: dict[str, Address] = {}

    def secrets(self) -> dict[str, str]:
        """An access key, which only says whose the secret key is."""
        return {"SCW_ACCESS_KEY": "SCWEMULATED000000000", "SCW_SECRET_KEY": self.secret_key}

    def settings(self) -> dict[str, object]:
        """The address, the project, and two of the zones."""
        return {
            "api_url": self.url,
            "project": self.project,
            "regions": ("fr-par-1", "nl-ams-1"),
        }

    def authenticate(self, request: Request) -> Answer | None:
        """The secret key, in a header of its own."""
        known = request.headers.get("x-auth-token") == self.secret_key
        return None if known else self.errors["unauthorized"]

    def no_route(self, request: Request) -> Answer:
        """404 as the gateway words it."""
        return refusal(404, "not_found", "resource is not found", resource="route")

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        """400 with the argument."""
        return invalid(bad.field, "required" if bad.reason == "missing" else "format", bad.reason)

    def user_data(self, identity: str) -> str:
        """What `cloud-init` was set to."""
        return self.servers[identity].user_data.get("cloud-init", b"").decode()

    # Prices --------------------------------------------------------------------------------

    @route("GET", "/product-catalog/v2alpha1/public-catalog/products", public=True)
    def list_products(self, request: Request) -> Answer:
        """Products with exact prices; instances alone are emulated."""
        kinds, zone = request.all("product_types"), request.first("zone")
        statuses, names = request.all("status"), request.all("api_ids")
        found = [
            product_body(kind, place)
            for place in ZONES
            for kind in kinds_in(place)
            if zone in ("", place)
            and not kind.windows
            and (not kinds or "instance" in kinds)
            and (not statuses or kind.status in statuses)
            and (not names or kind.name in names)
        ]
        return bodied_page("products", found, request, self.page_limit)

    @route("GET", f"{INSTANCE}/products/servers")
    def list_kinds(self, request: Request, zone: str) -> Answer:
        """Server types, with prices as floats."""
        found = {kind.name: kind_body(kind) for kind in kinds_in(self._zone(zone))}
        return counted_page("servers", found, request, self.page_limit)

    @route("GET", f"{INSTANCE}/products/servers/availability")
    def list_stock(self, request: Request, zone: str) -> Answer:
        """Stock by server type."""
        sold_out = self.behaviour.sold_out
        found = {
            kind.name: {"availability": "shortage" if kind.name in sold_out else kind.stock}
            for kind in kinds_in(self._zone(zone))
        }
        return counted_page("servers", found, request, self.page_limit)

    @route("GET", f"{BLOCK}/volume-types")
    def list_volume_kinds(self, request: Request, zone: str) -> Answer:
        """Prices of block volumes."""
        return bodied_page("volume_types", volume_kinds(zone), request, self.page_limit)

    @route("GET", "/marketplace/v2/local-images", public=True)
    def list_images(self, request: Request) -> Answer:
        """Images of a zone by label."""
        zone, label = request.first("zone"), request.first("image_label")
        found = [
            image
            for image in local_images(zone, kinds_in(zone))
            if label in ("", image["label"])
            and request.first("type", "instance_sbs") == image["type"]
            and request.first("arch") in ("", image["arch"])
        ]
        return bodied_page("local_images", found, request, self.page_limit)

    # Addresses -----------------------------------------------------------------------------

    @route("POST", f"{INSTANCE}/ips")
    def create_address(self, request: Request, zone: str) -> Answer:
        """Billed from now on, attached or not."""
        if request.json.get("type", "routed_ipv4") != "routed_ipv4":
            raise BadBody("type", "not emulated")
        address = self._add_address(self._zone(zone), self._project(request), self._tags(request))
        return Answer(status=201, body={"ip": self._address(address)})

    @route("GET", f"{INSTANCE}/ips")
    def list_addresses(self, request: Request, zone: str) -> Answer:
        """By tags and project."""
        found = [self._address(one) for one in self._chosen(self.addresses, zone, request)]
        return counted_page("ips", found, request, self.page_limit)

    @route("GET", f"{INSTANCE}/ips/{{id}}")
    def get_address(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One address."""
        address = self._find(self.addresses, zone, id, "instance_ip")
        return Answer(body={"ip": self._address(address)})

    @route("DELETE", f"{INSTANCE}/ips/{{id}}")
    def delete_address(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """A server that has it loses it."""
        del self.addresses[self._find(self.addresses, zone, id, "instance_ip").id]
        self.meter.stop("address", id, self.now())
        return Answer(status=204)

    # Servers -------------------------------------------------------------------------------

    @route("POST", f"{INSTANCE}/servers")
    def create_server(self, request: Request, zone: str) -> Answer:
        """Created stopped, with a boot volume that has no tags."""
        name = request.field("name", str)
        kind = self._kind(request, self._zone(zone))
        image = self._image(request, kind, zone)
        project, tags = self._project(request), self._tags(request)
        held = [
            self._find(self.addresses, zone, one, "instance_ip")
            for one in request.json.get("public_ips") or ()
        ]
        if any(address.server for address in held):
            raise Refusal(invalid("public_ips", "constraint", "IP is already attached"))
        template = (request.json.get("volumes") or {}).get("0") or {}
        if template.get("volume_type", "sbs_volume") != "sbs_volume":
            raise BadBody("volumes", "only sbs_volume is emulated")
        stock = "shortage" if kind.name in self.behaviour.sold_out else kind.stock
        if stock == "shortage":
            return self.errors["sold_out"]
        server = self._add_server(zone, name, tags=tags, kind=kind, image=image)
        server.dynamic = bool(request.json.get("dynamic_ip_required"))
        server.invisible = self.behaviour.invisible
        for address in held:
            address.server = server.id
        self._add_volume(server, int(template.get("size") or DEFAULT_VOLUME))
        if server.dynamic and not held:
            self._add_address(zone, project, [], server=server, dynamic=True)
        return Answer(status=201, body={"server": self._shown(server)})

    @route("GET", f"{INSTANCE}/servers")
    def list_servers(self, request: Request, zone: str) -> Answer:
        """By name (a part of it is enough), tags, state and project."""
        now = self.now()
        found = [
            self._shown(server)
            for server in self._chosen(self.servers, zone, request)
            if self._visible(server)
            and request.first("name") in server.name
            and request.first("state") in ("", server.state(now)[0])
        ]
        return counted_page("servers", found, request, self.page_limit)

    @route("GET", f"{INSTANCE}/servers/{{id}}")
    def get_server(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One server."""
        server = self._find(self.servers, zone, id, "instance_server")
        if not self._visible(server):
            raise Refusal(self._missing("instance_server", id))
        return Answer(body={"server": self._shown(server)})

    @route("DELETE", f"{INSTANCE}/servers/{{id}}")
    def delete_server(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Only a stopped one; its volumes and addresses stay."""
        server = self._find(self.servers, zone, id, "instance_server")
        if server.state(self.now())[0] != "stopped":
            return refusal(400, "invalid_request_error", "server should be stopped")
        if not self.behaviour.never_deletes:
            server.gone_at = self.now()
            self.meter.stop("instance", id, server.gone_at)
            self.collect()
        return Answer(status=204)

    @route("PATCH", f"{INSTANCE}/servers/{{id}}/user_data/{{key}}")
    def set_user_data(self, request: Request, zone: str, id: str, key: str) -> Answer:  # noqa: A002 -- the API's word
        """Plain text, read at the next boot."""
        server = self._find(self.servers, zone, id, "instance_server")
        if not request.headers.get("content-type", "").startswith("text/plain"):
            raise BadBody("content-type", "must be text/plain")
        if len(request.body) > USER_DATA_LIMIT:
            raise BadBody("user_data", f"must not be longer than {USER_DATA_LIMIT} bytes")
        server.user_data[key] = request.body
        return Answer(status=204, headers={"Content-Type": "text/plain"})

    @route("GET", f"{INSTANCE}/servers/{{id}}/user_data/{{key}}")
    def get_user_data(self, request: Request, zone: str, id: str, key: str) -> Answer:  # noqa: A002 -- the API's word
        """As it was set."""
        server = self._find(self.servers, zone, id, "instance_server")
        found = server.user_data.get(key)
        status = 404 if found is None else 200
        return Answer(status=status, body=found or b"", headers={"Content-Type": "text/plain"})

    @route("POST", f"{INSTANCE}/servers/{{id}}/action")
    def act(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Power on, stop in place or terminate, as far as the state allows."""
        server = self._find(self.servers, zone, id, "instance_server")
        action, now = request.field("action", str), self.now()
        if action not in server.state(now)[2]:
            return refusal(400, "invalid_request_error", f"server is not ready for {action}")
        match action:
            case "poweron":
                self._power_on(server, now)
            case "stop_in_place":
                server.halted = True
                self.power_off(self._booting(server))
            case "terminate":
                self._terminate(server, now)
            case _:
                raise BadBody("action", "not emulated")
        fake = action == "poweron"
        task = {
            "id": str(uuid.UUID(int=0 if fake else self.number())),
            "description": "fake task" if fake else f"server_{action}",
            "status": "pending",
            "href_from": f"/servers/{id}/action",
            "href_result": f"/servers/{id}",
            "started_at": stamp(now),
            "terminated_at": None,
            "progress": 0,
            "zone": zone,
        }
        self.collect()
        return Answer(status=202, body={"task": task})

    # Volumes -------------------------------------------------------------------------------

    @route("GET", f"{BLOCK}/volumes")
    def list_volumes(self, request: Request, zone: str) -> Answer:
        """By tags, project and the server that has them."""
        user = request.first("product_resource_id")
        found = [
            volume_body(volume)
            for volume in self._chosen(self.volumes, zone, request)
            if user in ("", volume.server)
        ]
        return bodied_page("volumes", found, request, self.page_limit)

    @route("GET", f"{BLOCK}/volumes/{{id}}")
    def get_volume(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One volume."""
        return Answer(body=volume_body(self._find(self.volumes, zone, id, "volume")))

    @route("PATCH", f"{BLOCK}/volumes/{{id}}")
    def update_volume(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Its name and tags."""
        volume = self._find(self.volumes, zone, id, "volume")
        if request.json.get("tags") is not None:
            volume.tags = self._tags(request)
        volume.name = request.json.get("name") or volume.name
        return Answer(body=volume_body(volume))

    @route("DELETE", f"{BLOCK}/volumes/{{id}}")
    def delete_volume(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Refused while a server has it."""
        volume = self._find(self.volumes, zone, id, "volume")
        if volume.server is not None:
            return self.errors["precondition"]
        del self.volumes[id]
        self.meter.stop("volume", id, self.now())
        return Answer(status=204)

    # For tests -----------------------------------------------------------------------------

    def add_foreign(self) -> None:
        """A stranger's servers with a volume and an address, with tags near to materia's."""
        kind = kinds_in("fr-par-1")[0]
        for tags in ([], ["materia", "materia-run=nightly"], ["materia-name=web", "materia-stage"]):
            server = self._add_server(
                "fr-par-1",
                "materia-web",
                tags=list(tags),
                kind=kind,
                image="ubuntu_noble",
                foreign=True,
            )
            server.powered = server.created
            self._add_volume(server, DEFAULT_VOLUME, foreign=True).tags = list(tags)
            self._add_address("fr-par-1", self.project, list(tags), server=server, foreign=True)
        self._add_address("fr-par-1", self.project, ["materia"], foreign=True)

    # Inside --------------------------------------------------------------------------------

    def collect(self) -> None:
        """Remove the servers whose time has come; a dynamic address goes with its server."""
        now = self.now()
        for server in list(self.servers.values()):
            if server.gone_at is None or server.gone_at > now:
                continue
            del self.servers[server.id]
            for volume in self.volumes.values():
                if volume.server == server.id:
                    volume.server = None
            for address in list(self.addresses.values()):
                if address.server == server.id:
                    address.server = None
                    if address.dynamic:
                        del self.addresses[address.id]
                        self.meter.stop("address", address.id, now)

    def _power_on(self, server: Server, now: datetime) -> None:
        behaviour = self.behaviour
        server.powered, server.halted = now, False
        server.boot = behaviour.boot
        server.never_boots, server.boot_fails = behaviour.never_boots, behaviour.boot_fails
        host = self.power_on(self._booting(server))
        for address in self.addresses.values():
            if host and address.server == server.id:
                address.ip = host

    def _terminate(self, server: Server, now: datetime) -> None:
        if self.behaviour.never_deletes:
            return
        server.gone_at = now + self.behaviour.delete
        self.power_off(self._booting(server))
        self.meter.stop("instance", server.id, server.gone_at)

    def _add_server(
        self,
        zone: str,
        name: str,
        *,
        tags: list[str],
        kind: Kind,
        image: str,
        foreign: bool = False,
    ) -> Server:
        server = Server(
            id=self._identity(1),
            zone=zone,
            name=name,
            project=self.project,
            kind=kind,
            image=image,
            tags=tags,
            created=self.now(),
            dynamic=False,
        )
        self.servers[server.id] = server
        self._bill("instance", server.id, name, zone, kind.price, foreign=foreign)
        return server

    def _add_volume(self, server: Server, size: int, *, foreign: bool = False) -> Volume:
        volume = Volume(
            id=self._identity(2),
            zone=server.zone,
            name=f"{dict(IMAGES)[server.image]}_sbs_volume_0",
            project=server.project,
            size=size,
            created=self.now(),
            server=server.id,
        )
        self.volumes[volume.id] = volume
        hourly = VOLUME_HOURLY["sbs_5k"] * size / 10**9
        self._bill("volume", volume.id, server.name, server.zone, hourly, foreign=foreign)
        return volume

    def _add_address(
        self,
        zone: str,
        project: str,
        tags: list[str],
        *,
        server: Server | None = None,
        dynamic: bool = False,
        foreign: bool = False,
    ) -> Address:
        address = Address(
            id=self._identity(3),
            zone=zone,
            ip=self.documentation_address(),
            project=project,
            server=server.id if server else None,
            tags=tags,
            dynamic=dynamic,
        )
        self.addresses[address.id] = address
        name = next((tag[13:] for tag in tags if tag.startswith("materia-name=")), "")
        self._bill("address", address.id, name, zone, ADDRESS_HOURLY, foreign=foreign)
        return address

    def _bill(
        self, kind: str, identity: str, name: str, zone: str, hourly: Decimal, *, foreign: bool
    ) -> None:
        self.meter.start(
            Metered(
                kind=kind,
                id=identity,
                name=name,
                region=zone,
                hourly=Money(hourly, "EUR"),
                minimum=Money(ADDRESS_MINIMUM, "EUR") if kind == "address" else None,
                started_at=self.now(),
                foreign=foreign,
            )
        )

    def _booting(self, server: Server) -> Booting:
        sizes = [one.size for one in self.volumes.values() if one.server == server.id]
        return Booting(
            provider=self.provider,
            id=server.id,
            name=server.name,
            user_data=server.user_data.get("cloud-init", b"").decode(),
            login="root",
            vcpus=server.kind.vcpus,
            memory_gib=Decimal(server.kind.memory_gib),
            disk_gib=sum(sizes) // 1024**3,
            boot_seconds=self.boot_seconds,
        )

    def _identity(self, kind: int) -> str:
        return str(uuid.UUID(int=(kind << 96) + self.number()))

    def _visible(self, server: Server) -> bool:
        return self.now() >= server.created + server.invisible

    def _shown(self, server: Server) -> dict[str, Any]:
        held = [one for one in self.addresses.values() if one.server == server.id]
        volumes = [one for one in self.volumes.values() if one.server == server.id]
        return server_body(server, held, volumes, self.now())

    def _address(self, address: Address) -> dict[str, Any]:
        return address_body(address, self.servers.get(address.server or ""))

    def _missing(self, resource: str, identity: str) -> Answer:
        return refusal(
            404, "not_found", "resource is not found", resource=resource, resource_id=identity
        )

    def _find(self, things: Mapping[str, Any], zone: str, identity: str, resource: str) -> Any:
        thing = things.get(identity)
        if thing is None or thing.zone != zone:
            raise Refusal(self._missing(resource, identity))
        return thing

    def _chosen(self, things: Mapping[str, Any], zone: str, request: Request) -> list[Any]:
        """Those of the zone with all the tags asked for, newest first."""
        wanted = {tag for value in request.all("tags") for tag in value.split(",") if tag}
        project = request.first("project") or request.first("project_id")
        found = [
            thing
            for thing in things.values()
            if thing.zone == self._zone(zone)
            and wanted <= set(thing.tags)
            and project in ("", thing.project)
        ]
        return found[::-1]

    def _zone(self, zone: str) -> str:
        if zone not in ZONES:
            raise Refusal(self._missing("zone", zone))
        return zone

    def _project(self, request: Request) -> str:
        project = request.field("project", str)
        if project != self.project:
            raise Refusal(self.errors["forbidden"])
        return project

    def _tags(self, request: Request) -> list[str]:
        tags = request.json.get("tags") or []
        if not all(isinstance(tag, str) and "," not in tag for tag in tags):
            raise BadBody("tags", "must be a list of text")
        return list(tags)

    def _kind(self, request: Request, zone: str) -> Kind:
        wanted = request.field("commercial_type", str)
        for kind in kinds_in(zone):
            if kind.name == wanted and kind.status != "retired":
                return kind
        raise Refusal(invalid("commercial_type", "constraint", f"{wanted} is not in {zone}"))

    def _image(self, request: Request, kind: Kind, zone: str) -> str:
        wanted = request.field("image", str)
        for label, _ in IMAGES:
            if wanted in (label, image_id(label, kind.architecture, zone)):
                return label
        raise Refusal(self._missing("instance_image", wanted))
