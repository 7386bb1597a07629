"""State of the emulated Hetzner Cloud: one project, its resources and their bill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from materia.compute import Money
from materia_testing.emulation.meter import Metered
from materia_testing.emulation.service import Service
from materia_testing.emulation.ssh_machines.boot import Booting

from materia_hetzner.emulator.catalog import (
    IMAGES,
    IPV4_HOURLY,
    IPV4_MONTHLY,
    SERVER_TYPES,
    VOLUME_GB_MONTHLY,
)
from materia_hetzner.emulator.formats import fingerprint_of, image_body
from materia_hetzner.emulator.things import Action, Address, Firewall, Key, Server, Volume

HOURS_A_MONTH = Decimal(730)


class HetznerProject(Service):
    """The state behind the API, with one token.

    Attributes:
        token: Allows everything in the project.
        read_only_token: Allows reading only.
        currency: The account's currency.
        leaks_addresses: Whether primary IPs outlive their server although `auto_delete` is set, as
            reported of the real service when many servers are deleted at once.
    """

    provider = "hetzner"

    def __init__(self, *, currency: str = "EUR", **options: Any) -> None:
        super().__init__(**options)
        self.token = "emulated-hetzner-token"  # noqa: S105 -- opens nothing but this emulator
        self.read_only_token = f"{self.token}-read-only"
        self.currency = currency
        self.leaks_addresses = False
        self.servers: dict[int, Server] = {}
        self.keys: dict[int, Key] = {}
        self.addresses: dict[int, Address] = {}
        self.volumes: dict[int, Volume] = {}
        self.firewalls: dict[int, Firewall] = {}
        self.actions: dict[int, Action] = {}
        self.images = [
            image_body(number, image, architecture)
            for number, (image, architecture) in enumerate(
                ((image, architecture) for image in IMAGES for architecture in ("x86", "arm")),
                start=1,
            )
        ]

    def collect(self) -> None:
        """Remove the servers whose deletion has finished, with their addresses."""
        now = self.now()
        for server in list(self.servers.values()):
            if server.gone_at is None or server.gone_at > now:
                continue
            del self.servers[server.id]
            for address in list(self.addresses.values()):
                if address.assignee == server.id:
                    address.assignee = None
                    if address.auto_delete and not self.leaks_addresses:
                        self._drop_address(address, server.gone_at)
            for volume in self.volumes.values():
                if volume.server == server.id:
                    volume.server = None
            for firewall in self.firewalls.values():
                firewall.targets = [each for each in firewall.targets if each != server.id]

    def add_volume(self, server: Server | None, *, foreign: bool = False) -> Volume:
        """Add a volume of 10 GB, attached to *server* or to nothing."""
        volume = Volume(
            id=self.number() + 9_000_000,
            name=f"volume-{self.number()}",
            size_gb=10,
            location=server.location if server else "fsn1",
            created=self.now(),
            server=server.id if server else None,
            labels=dict(server.labels) if server else {},
        )
        self._bill_volume(volume, foreign=foreign)
        return volume

    def _bill_volume(self, volume: Volume, *, foreign: bool = False) -> None:
        """Keep the volume, and bill its size from now on."""
        self.volumes[volume.id] = volume
        server = self.servers.get(volume.server or 0)
        hourly = VOLUME_GB_MONTHLY * volume.size_gb / HOURS_A_MONTH
        self.meter.start(
            Metered(
                kind="volume",
                id=str(volume.id),
                name=server.name if server else volume.name,
                region=volume.location,
                hourly=Money(hourly, self.currency),
                started_at=self.now(),
                foreign=foreign,
            )
        )

    def add_foreign(self) -> None:
        """Add foreign servers and their resources, with names and labels close to materia's."""
        ccx13 = next(kind for kind in SERVER_TYPES if kind.name == "ccx13")
        near: tuple[dict[str, str], ...] = (
            {},
            {"materia": "yes", "materia-runner": "1", "stage": "extract"},
            {"materia-run": "nightly"},
        )
        for labels in near:
            number = self.number()
            server = Server(
                id=number + 42_000_000,
                name=f"materia-web-{number}",
                labels=labels,
                type=ccx13,
                location="fsn1",
                image=self.images[0],
                created=self.now(),
                user_data="",
                keys=(),
                boot=timedelta(0),
                boots=True,
            )
            self._place(server, {}, foreign=True)
            self.add_volume(server, foreign=True)
            key = f"ssh-ed25519 AAAAforeign{number}"
            fingerprint = fingerprint_of(key)
            self._add_key(f"materia-web-{number}", key, fingerprint, dict(labels), foreign=True)
        unused = self._add_address("ipv4", "fsn1", None, "materia-spare", foreign=True)
        unused.auto_delete = False

    def add_look_alike(self, identity: str) -> str:
        """Add a foreign database whose server, volume and addresses have a worker's labels."""
        worker = self.servers[int(identity)]
        server = replace(worker, id=self.number() + 42_000_000, name="precious-db", user_data="")
        server.labels, server.created = dict(worker.labels), self.now() - timedelta(days=1)
        with self.lock:
            self._place(server, {}, foreign=True)
            self.add_volume(server, foreign=True)
            for address in self.addresses.values():
                if address.assignee == server.id:
                    address.labels, address.auto_delete = dict(worker.labels), False
        return str(server.id)

    def _place(self, server: Server, network: Mapping[str, Any], *, foreign: bool = False) -> None:
        self.servers[server.id] = server
        self._bill_server(server, since=server.created, foreign=foreign)
        if not foreign:
            server.host = self.power_on(self._booting(server))
        if network.get("enable_ipv4", True):
            server.ipv4 = self._add_address("ipv4", server.location, server, foreign=foreign).id
        if network.get("enable_ipv6", True):
            server.ipv6 = self._add_address("ipv6", server.location, server, foreign=foreign).id

    def _bill_server(self, server: Server, *, since: datetime, foreign: bool = False) -> None:
        price = server.type.prices[server.location]
        self.meter.start(
            Metered(
                kind="instance",
                id=str(server.id),
                name=server.name,
                region=server.location,
                hourly=Money(price.hourly, self.currency),
                monthly_cap=Money(price.monthly, self.currency),
                started_at=since,
                foreign=foreign,
            )
        )

    def _booting(self, server: Server) -> Booting:
        return Booting(
            provider=self.provider,
            id=str(server.id),
            name=server.name,
            user_data=server.user_data,
            authorized_keys=server.keys,
            login="root",
            vcpus=server.type.cores,
            memory_gib=Decimal(server.type.memory_gb),
            disk_gib=server.disk_gb,
            boot_seconds=self.boot_seconds,
        )

    def _add_address(
        self,
        kind: str,
        location: str,
        server: Server | None,
        name: str | None = None,
        *,
        foreign: bool = False,
    ) -> Address:
        number = self.number()
        own = server.host if server else None
        address = Address(
            id=number + 6_000_000,
            name=name or f"primary_ip-{number + 6_000_000}",
            type=kind,
            ip=own or self.documentation_address()
            if kind == "ipv4"
            else f"2001:db8:{number:x}::/64",
            location=location,
            created=self.now(),
            assignee=server.id if server else None,
            auto_delete=True,
        )
        self.addresses[address.id] = address
        paid = kind == "ipv4"
        self.meter.start(
            Metered(
                kind="address",
                id=str(address.id),
                name=server.name if server else address.name,
                region=location,
                hourly=Money(IPV4_HOURLY if paid else Decimal(0), self.currency),
                monthly_cap=Money(IPV4_MONTHLY, self.currency) if paid else None,
                started_at=address.created,
                foreign=foreign,
            )
        )
        return address

    def _add_key(
        self,
        name: str,
        public_key: str,
        fingerprint: str,
        labels: dict[str, str],
        *,
        foreign: bool = False,
    ) -> Key:
        key = Key(
            id=self.number() + 2_000_000,
            name=name,
            public_key=public_key,
            fingerprint=fingerprint,
            labels=labels,
            created=self.now(),
        )
        self.keys[key.id] = key
        self.meter.start(
            Metered(
                kind="key",
                id=str(key.id),
                name=name,
                region="",
                started_at=key.created,
                foreign=foreign,
            )
        )
        return key

    def _act(
        self, command: str, server: Server, ends_at: datetime | None, failure: str | None = None
    ) -> dict[str, Any]:
        return self._action(command, (("server", server.id),), ends_at, failure)

    def _done(self, command: str, *resources: tuple[str, int]) -> dict[str, Any]:
        """An action that takes no time."""
        return self._action(command, resources, self.now())

    def _action(
        self,
        command: str,
        resources: tuple[tuple[str, int], ...],
        ends_at: datetime | None,
        failure: str | None = None,
    ) -> dict[str, Any]:
        action = Action(
            id=self.number() + 1_000_000,
            command=command,
            resources=resources,
            started=self.now(),
            ends_at=ends_at,
            error=failure,
        )
        self.actions[action.id] = action
        return action.body(self.now())

    def _drop_address(self, address: Address, at: datetime) -> None:
        del self.addresses[address.id]
        self.meter.stop("address", str(address.id), at)

    def _visible(self, server: Server) -> bool:
        return self.now() >= server.created + self.behaviour.invisible
