"""State of the emulated Scaleway: one project, its resources and their bill."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from materia.compute import Money
from materia_testing.emulation.exchange import Answer, BadBody, Refusal, Request
from materia_testing.emulation.meter import Metered
from materia_testing.emulation.service import Service
from materia_testing.emulation.ssh_machines.boot import Booting

from materia_scaleway.emulator.bodies import address_body, image_id, server_body
from materia_scaleway.emulator.catalog import (
    ADDRESS_HOURLY,
    ADDRESS_MINIMUM,
    EMPTY_ZONES,
    IMAGES,
    VOLUME_HOURLY,
    ZONES,
    Kind,
    kinds_in,
)
from materia_scaleway.emulator.errors import ERRORS, UNKNOWN_ZONE, invalid, refusal
from materia_scaleway.emulator.things import Address, Server, Volume

DEFAULT_VOLUME = 10 * 10**9


class Project(Service):
    """One project with its key and its resources.

    Attributes:
        secret_key: Allows everything in the project.
        project: Its ID.
        page_limit: The largest number of entries in one page.
    """

    provider = "scaleway"
    errors: ClassVar[Mapping[str, Answer]] = ERRORS

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.secret_key = str(uuid.UUID(int=0x5CA1E3A7))
        self.project = str(uuid.UUID(int=0x9807EC7))
        self.page_limit = 50
        self.servers: dict[str, Server] = {}
        self.volumes: dict[str, Volume] = {}
        self.addresses: dict[str, Address] = {}

    def secrets(self) -> dict[str, str]:
        """An access key, which only names the owner of the secret key."""
        return {"SCW_ACCESS_KEY": "SCWEMULATED000000000", "SCW_SECRET_KEY": self.secret_key}

    def settings(self) -> dict[str, object]:
        """The address, the project, and two of the zones."""
        return {
            "api_url": self.url,
            "project": self.project,
            "regions": ("fr-par-1", "nl-ams-1"),
        }

    def authenticate(self, request: Request) -> Answer | None:
        """The secret key, in a header of its own; and the zone must be one that exists."""
        if request.headers.get("x-auth-token") != self.secret_key:
            return self.errors["unauthorized"]
        zone = request.path.partition("/zones/")[2].partition("/")[0]
        return UNKNOWN_ZONE if zone and zone not in (*ZONES, *EMPTY_ZONES) else None

    def no_route(self, request: Request) -> Answer:
        """404 in the gateway's format."""
        return refusal(404, "not_found", "resource is not found", resource="route")

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        """400 that names the argument."""
        return invalid(bad.field, "required" if bad.reason == "missing" else "format", bad.reason)

    def user_data(self, identity: str) -> str:
        """The user data `cloud-init` of a server."""
        return self.servers[identity].user_data.get("cloud-init", b"").decode()

    # For tests -----------------------------------------------------------------------------

    def add_foreign(self) -> None:
        """Add foreign servers with a volume and an address, with tags close to materia's."""
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

    def add_look_alike(self, identity: str) -> str:
        """Add a foreign database whose server, volume and address have a worker's tags."""
        worker = self.servers[identity]
        tags = list(worker.tags)
        with self.lock:
            server = self._add_server(
                worker.zone,
                "precious-db",
                tags=tags,
                kind=worker.kind,
                image=worker.image,
                foreign=True,
            )
            server.powered = server.created
            self._add_volume(server, DEFAULT_VOLUME, foreign=True).tags = tags
            self._add_address(worker.zone, self.project, tags, server=server, foreign=True)
        return server.id

    # Inside --------------------------------------------------------------------------------

    def collect(self) -> None:
        """Remove the servers whose deletion has finished, with their dynamic addresses."""
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
        return self.now() >= server.created + self.behaviour.invisible

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
        """The entries of the zone with all requested tags, newest first."""
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
