"""Inventory of a Hetzner project: find the servers, addresses, volumes and keys by their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import hcloud
from hcloud.images import Image
from hcloud.primary_ips import BoundPrimaryIP, PrimaryIP
from hcloud.servers import BoundServer, Server
from hcloud.ssh_keys import SSHKey
from hcloud.volumes import Volume
from materia.compute import Architecture, Attached, Instance
from materia.errors import CapacityError, ConfigError
from materia_providers.api_errors import NothingMadeError
from materia_providers.labels import NAME, Owner, entry_owner
from materia_providers.polling import look_for
from materia_providers.teardown import ForeignError

from materia_hetzner.errors import translated
from materia_hetzner.offers import PROVIDER
from materia_hetzner.settings import Settings


class Project:
    """The resources of materia in a project of Hetzner Cloud. Every method asks the API."""

    def __init__(self, client: hcloud.Client, settings: Settings, *, settle: timedelta) -> None:
        """Use *client*; a new server may be missing from answers for *settle*."""
        self.client = client
        self._settings = settings
        self._settle = settle

    def pages(self, path: str, key: str, **options: str) -> Iterator[dict[str, Any]]:
        """All entries of a list, as the API sends them.

        The SDK's own list of types fails on answers without the fields of 2026-04-01, and its other
        lists on one malformed entry that is not materia's.
        """
        page: int | None = 1
        while page:
            params = {"page": page, "per_page": 50, **options}
            answer = self.client.request("GET", path, params=params)
            yield from answer[key]
            following = ((answer.get("meta") or {}).get("pagination") or {}).get("next_page")
            if following is not None and (type(following) is not int or following <= page):
                raise ValueError(f"the page after {page} is {following!r}")
            page = following

    def named(self, name: str) -> BoundServer | None:
        """The server of that name.

        Raises:
            ForeignError: a server of that name exists and is not materia's.
        """
        with translated(f"look for the server {name}"):
            for raw in self.pages("/servers", "servers", name=name):
                if raw.get("name") != name:
                    continue
                if entry_owner(raw.get("id"), raw.get("labels"), named=name) is None:
                    raise ForeignError(
                        f"hetzner: a server named {name} exists (id {raw.get('id')}) and is not "
                        "materia's"
                    )
                return BoundServer(self.client.servers, raw)
        return None

    def await_named(self, name: str) -> BoundServer | None:
        """The server of that name, once it is listed; None after the settle time."""
        return look_for(lambda: self.named(name), self._settle)

    def find(self, instance: Instance) -> BoundServer | None:
        """The server of an instance, by its id or else by its name.

        Raises:
            ForeignError: it is not materia's.
        """
        if not instance.id.isdecimal():
            return self.named(instance.name)
        with translated(f"ask for the server {instance.id}"):
            try:
                server = self.client.servers.get_by_id(int(instance.id))
            except hcloud.APIException as error:
                if error.code != "not_found":
                    raise
                return None
        if self.owner(server) is None:
            raise ForeignError(f"hetzner: the server {instance.id} is not materia's")
        return server

    def servers(self) -> list[BoundServer]:
        """Every server that has materia's labels."""
        with translated("list servers"):
            return [
                BoundServer(self.client.servers, raw)
                for raw in self.pages("/servers", "servers", label_selector=NAME)
                if entry_owner(raw.get("id"), raw.get("labels"), named=raw.get("name"))
            ]

    def loose(self) -> list[tuple[Owner, Attached]]:
        """Labelled addresses, volumes and keys, except those that a foreign server uses."""
        found: list[tuple[Owner, Attached]] = []
        with translated("list addresses, volumes and keys"):
            for kind, path, key in (
                ("address", "/primary_ips", "primary_ips"),
                ("volume", "/volumes", "volumes"),
                ("key", "/ssh_keys", "ssh_keys"),
            ):
                for raw in self.pages(path, key, label_selector=NAME):
                    named = {"named": raw.get("name")} if kind == "key" else {}
                    owner = entry_owner(raw.get("id"), raw.get("labels"), **named)
                    if owner is None or self._is_held_by_a_stranger(raw):
                        continue
                    region = (raw.get("location") or {}).get("name") or ""
                    found.append(
                        (owner, Attached(kind=kind, id=str(raw["id"]), region=str(region)))
                    )
        return found

    def _is_held_by_a_stranger(self, raw: Mapping[str, Any]) -> bool:
        """Whether a server that is not materia's uses that address or volume.

        People copy labels, so a foreign address or volume can have materia's.
        """
        holder = raw.get("assignee_id") or raw.get("server")
        if holder is None:
            return False
        try:
            server = self.client.servers.get_by_id(int(holder))
        except hcloud.APIException as error:
            if error.code != "not_found":
                raise
            return False
        return self.owner(server) is None

    def image(self, architecture: Architecture) -> Image:
        """The configured image for that processor architecture.

        Raises:
            CapacityError: the image exists, but not for that architecture.
            ConfigError: no image has that name.
        """
        name, images = self._settings.image, self.client.images
        wanted = {"x86_64": "x86", "arm64": "arm"}[architecture]
        with translated(f"find the image {name}"):
            if images.get_by_name_and_architecture(name, wanted):
                # By name: the API then takes the image for the architecture of the server type.
                return Image(name=name)
            if images.get_all(name=name):
                raise CapacityError(f"hetzner: the image {name} does not exist for {architecture}")
            known = images.get_all(type=["system"], architecture=[wanted])
        raise ConfigError(
            f"providers.hetzner.image is {name!r}, which is no system image for {architecture}; "
            f"choose one of {', '.join(sorted(str(each.name) for each in known))}"
        )

    def instance(self, server: BoundServer, attached: Iterable[Attached] = ()) -> Instance:
        """A server as an instance of materia, with its addresses and what else is *attached*."""
        with translated(f"read the server {server.id}"):
            owner = self.owner(server)
            if owner is None:
                raise ForeignError(f"hetzner: the server {server.id} is not materia's")
            region = region_of(server)
            network, kind = server.public_net, server.server_type
            addresses = [
                Attached(kind="address", id=str(address.id), region=region)
                for address in _addresses_of(server)
            ]
            return Instance(
                provider=PROVIDER,
                id=str(server.id),
                name=owner.name,
                run=owner.run,
                stage=owner.stage,
                region=region,
                expires_at=owner.expires_at,
                instance_type=str(kind.name) if kind else "",
                created_at=server.created,
                host=network.ipv4.ip if network and network.ipv4 else None,
                port=self._settings.ssh_port,
                attached=tuple(dict.fromkeys([*addresses, *attached])),
            )

    def owner(self, server: BoundServer) -> Owner | None:
        """The owner of a server, or None when it is not materia's.

        Raises:
            ProviderError: the answer does not say who owns the server.
        """
        with translated(f"read the server {server.id}"):
            return entry_owner(server.id, server.labels, named=server.name)

    def label_addresses(self, server: BoundServer) -> None:
        """Label the addresses of a server, so that a sweep finds them when they outlive it.

        Hetzner makes them with the server, without labels. This takes two requests at most.
        """
        for address in _addresses_of(server):
            try:
                with translated(f"label the address {address.id}"):
                    self.client.primary_ips.update(
                        PrimaryIP(id=address.id), auto_delete=True, labels=dict(server.labels or {})
                    )
            except NothingMadeError:
                continue  # it is gone already

    def unassigned(self, address: Attached) -> bool:
        """Whether the address exists and no server uses it."""
        with translated(f"ask for the address {address.id}"):
            try:
                found = self.client.primary_ips.get_by_id(int(address.id))
            except hcloud.APIException as error:
                if error.code != "not_found":
                    raise
                return False
        return found.assignee_id is None

    def delete_server(self, identity: int) -> bool:
        """Delete a server; whether there was one."""
        servers = self.client.servers
        return _asked(f"delete the server {identity}", lambda: servers.delete(Server(id=identity)))

    def delete(self, attached: Attached) -> None:
        """Delete an address, a volume or a key; one that is gone already is not an error."""
        client, identity = self.client, int(attached.id)
        deletes: dict[str, Callable[[], object]] = {
            "address": lambda: client.primary_ips.delete(PrimaryIP(id=identity)),
            "volume": lambda: client.volumes.delete(Volume(id=identity)),
            "key": lambda: client.ssh_keys.delete(SSHKey(id=identity)),
        }
        _asked(f"delete the {attached.kind} {identity}", deletes[attached.kind])


def region_of(thing: Any) -> str:
    """The location of a resource; keys have none."""
    location = getattr(thing, "location", None)
    return str(location.name) if location is not None else ""


def _addresses_of(server: BoundServer) -> list[BoundPrimaryIP]:
    network = server.public_net
    both = (network.primary_ipv4, network.primary_ipv6) if network else ()
    return [address for address in both if address is not None]


def _asked(doing: str, call: Callable[[], object]) -> bool:
    with translated(doing):
        try:
            call()
        except hcloud.APIException as error:
            if error.code != "not_found":
                raise
            return False
    return True
