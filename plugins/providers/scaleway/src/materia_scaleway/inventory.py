"""Inventory of a zone: find materia's servers, volumes and addresses by their tags.

Servers and addresses have the tags from their creation. Scaleway creates a server's boot volume
without tags, so materia tags it at once, and again before it deletes the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from materia.compute import Attached, Instance
from materia.errors import ProviderError
from materia_providers.api_errors import GoneError, UnansweredError
from materia_providers.labels import NAME, UNNAMED, Owner, entry_owner
from materia_providers.polling import look_for
from scaleway.block.v1 import Volume  # type: ignore[import-untyped]
from scaleway.block.v1.marshalling import unmarshal_Volume  # type: ignore[import-untyped]
from scaleway.instance.v1 import Ip, Server  # type: ignore[import-untyped]
from scaleway.instance.v1.marshalling import (  # type: ignore[import-untyped]
    unmarshal_Ip,
    unmarshal_Server,
)

from materia_scaleway.client import Apis
from materia_scaleway.errors import translated
from materia_scaleway.prices import PROVIDER, region_of

TAG = "materia"
BOOT = "0"  # key of the boot volume among a server's volumes


def tags_of(owner: Owner) -> list[str]:
    """The tags of every resource of *owner*; lists are filtered by the first."""
    return [TAG, *(f"{key}={value}" for key, value in owner.labels().items())]


def owner_of_entry(identity: object, tags: object, *, named: object = UNNAMED) -> Owner | None:
    """The owner in *tags*, or None when they are not materia's.

    Raises:
        ValueError: see `materia_providers.labels.entry_owner`.
    """
    labels: object = tags
    if isinstance(tags, list):
        texts = [tag for tag in tags if isinstance(tag, str)]
        pairs = dict(tag.partition("=")[::2] for tag in texts)
        labels = pairs if TAG in texts else dict.fromkeys(texts, "")
        if tags and not texts:
            labels = 0  # tags that are not text have no meaning
    return entry_owner(identity if isinstance(identity, str) else None, labels, named=named)


def owner_of_server(server: Server) -> Owner | None:
    """The owner of a server, or None when its name or its tags are not materia's.

    Raises:
        ProviderError: the answer does not say who owns the server.
    """
    with translated(f"read server {server.id}"):
        return owner_of_entry(server.id, server.tags, named=server.name)


@dataclass(slots=True, kw_only=True)
class Owned:
    """The resources known to belong to one instance in one zone, by id.

    Attributes:
        settle: How long a new resource may be missing from lists.
        tagged: The volumes that carry the tags.
        touched: Whether materia created, or may have created, something.
        uncertain: Whether a create had no answer, so that a new resource may not be listed yet.
    """

    apis: Apis
    zone: str
    owner: Owner
    settle: timedelta
    servers: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    tagged: set[str] = field(default_factory=set)
    touched: bool = False
    uncertain: bool = False

    def know(self, instance: Instance) -> None:
        """Add the resources of an earlier list."""
        if instance.id:
            self.servers.add(instance.id)
        for one in instance.attached:
            (self.volumes if one.kind == "volume" else self.addresses).add(one.id)

    def find_server(self) -> Server | None:
        """The oldest server of that name in the list."""
        found = [
            one for owner, one in servers(self.apis, self.zone, self._tag) if self.is_mine(owner)
        ]
        self.servers |= {one.id for one in found}
        return min(found, key=lambda one: (str(one.creation_date), one.id), default=None)

    def find_address(self) -> Ip | None:
        """An address of that name, preferably one that a server uses."""
        found = [
            one for owner, one in addresses(self.apis, self.zone, self._tag) if self.is_mine(owner)
        ]
        self.addresses |= {one.id for one in found}
        self.servers |= {one.server.id for one in found if one.server is not None}
        return min(found, key=lambda one: (one.server is None, one.id), default=None)

    def find_volumes(self) -> None:
        """Find the volumes that carry the name."""
        found = volumes(self.apis, self.zone, self._tag, ours=self.servers)
        self.tagged |= {one.id for owner, one in found if self.is_mine(owner)}
        self.volumes |= self.tagged

    def look_for_server(self, within: timedelta) -> Server | None:
        """The server of that name, if it is listed before *within* has passed."""

        def look() -> Server | None:
            if (server := self.find_server()) is not None:
                return server
            address = self.find_address()
            if address is not None and address.server is not None:
                return self.get_server(address.server.id)
            return None

        return look_for(look, within)

    def await_server(self, identity: str, within: timedelta) -> Server:
        """A server that exists but is not visible yet.

        Raises:
            ProviderError: it is still not visible after *within*.
        """
        self.touched = True
        server = look_for(lambda: self.get_server(identity), within)
        if server is None:
            raise ProviderError(
                f"scaleway: cannot find the server {identity} in {self.zone}; its address exists"
            )
        return server

    def get_server(self, identity: str) -> Server | None:
        """The server, or None when Scaleway says that there is none."""
        try:
            return read_server(self.apis, self.zone, identity)
        except GoneError:
            return None

    def tag_volumes(self, server: Server) -> None:
        """Tag the boot volume of *server*, which Scaleway creates without tags."""
        boot = boot_of(server)
        if boot is None or str(boot.volume_type) != "sbs_volume":
            return  # a local disk goes with its server
        self.volumes.add(boot.id)
        if boot.id in self.tagged:
            return
        with translated(f"tag volume {boot.id} in {self.zone}"):
            self.apis.blocks.update_volume(
                volume_id=boot.id,
                zone=self.zone,
                tags=tags_of(owner_of_server(server) or self.owner),
            )
        self.tagged.add(boot.id)

    def is_mine(self, owner: Owner | None) -> bool:
        """Whether this owner has that name."""
        return owner is not None and owner.name == self.owner.name

    def instance(self, server: Server, *, port: int) -> Instance:
        """The SDK's *server* as an instance of materia."""
        boot = boot_of(server)
        kept = self.volumes | ({boot.id} if boot is not None else set())
        return _instance(self.zone, self.owner, server, kept=kept, held=self.addresses, port=port)

    @property
    def _tag(self) -> str:
        return f"{NAME}={self.owner.name}"


def read_server(apis: Apis, zone: str, identity: str) -> Server:
    """The server of that id.

    Raises:
        GoneError: no server has that id.
        ProviderError: the answer is about another resource or cannot be read.
    """
    doing = f"read server {identity} in {zone}"
    with translated(doing):
        server = apis.instances.get_server(server_id=identity, zone=zone).server
    if server is None or server.id != identity:
        raise UnansweredError(f"scaleway: cannot {doing}: the answer is not about that server")
    return server


def servers(apis: Apis, zone: str, tag: str) -> list[tuple[Owner, Server]]:
    """Materia's servers with that tag."""
    with translated(f"list servers in {zone}"):
        return [
            (owner, unmarshal_Server(raw))
            for raw in _listed(apis.instances, f"/instance/v1/zones/{zone}/servers", tag)
            if (owner := owner_of_entry(raw.get("id"), raw.get("tags"), named=raw.get("name")))
        ]


def addresses(apis: Apis, zone: str, tag: str) -> list[tuple[Owner, Ip]]:
    """Materia's flexible addresses with that tag, except those that a foreign server uses."""
    with translated(f"list addresses in {zone}"):
        return [
            (owner, unmarshal_Ip(raw))
            for raw in _listed(apis.instances, f"/instance/v1/zones/{zone}/ips", tag)
            if (owner := owner_of_entry(raw.get("id"), raw.get("tags")))
            and (raw.get("server") or {"name": owner.name}).get("name") == owner.name
        ]


def volumes(
    apis: Apis, zone: str, tag: str, *, ours: set[str] | frozenset[str] = frozenset()
) -> list[tuple[Owner, Volume]]:
    """Materia's block volumes with that tag, except those that a foreign server uses.

    Args:
        apis: The APIs to ask.
        zone: The zone to search.
        tag: The tag of the volumes.
        ours: Servers that are known to be materia's, so that they need no request.
    """
    with translated(f"list volumes in {zone}"):
        found = [
            (owner, unmarshal_Volume(raw))
            for raw in apis.blocks.entries(
                f"/block/v1/zones/{zone}/volumes",
                "volumes",
                size="page_size",
                tags=[tag],
                include_deleted=False,
                project_id=apis.blocks.client.default_project_id,
            )
            if (owner := owner_of_entry(raw.get("id"), raw.get("tags")))
        ]
    return [
        (owner, volume)
        for owner, volume in found
        if not any(_is_strangers(apis, zone, one) for one in users_of(volume) - ours)
    ]


def users_of(volume: Volume) -> set[str]:
    """The servers that use a volume."""
    return {one.product_resource_id for one in volume.references or () if one.product_resource_id}


def _is_strangers(apis: Apis, zone: str, identity: str) -> bool:
    try:
        return owner_of_server(read_server(apis, zone, identity)) is None
    except GoneError:
        return False  # in deletion, or not visible yet


def _listed(api: Any, path: str, tag: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.entries(
        path, path.rpartition("/")[2], tags=tag, project=api.client.default_project_id
    )
    return found


def instances_of(apis: Apis, zone: str) -> list[Instance]:
    """All instances of materia in *zone* with their volumes and addresses; leftovers have no id."""
    found = servers(apis, zone, TAG)
    parts: dict[str, tuple[Owner, set[str], set[str]]] = {}
    for owner, address in addresses(apis, zone, TAG):
        parts.setdefault(owner.name, (owner, set(), set()))[2].add(address.id)
    for owner, volume in volumes(apis, zone, TAG, ours={one.id for _, one in found}):
        parts.setdefault(owner.name, (owner, set(), set()))[1].add(volume.id)
    instances: list[Instance] = []
    for owner, server in found:
        _, kept, held = parts.pop(owner.name, (owner, set(), set()))
        boot = boot_of(server)
        kept |= {boot.id} if boot is not None else set()
        instances.append(_instance(zone, owner, server, kept=kept, held=held, port=22))
    for owner, kept, held in parts.values():
        instances.append(_instance(zone, owner, None, kept=kept, held=held, port=22))
    return instances


def boot_of(server: Server) -> Any | None:
    """The boot volume of a server, from the server's own fields.

    Raises:
        UnansweredError: it has no id, so materia could not find it again.
    """
    volumes: Mapping[str, Any] = server.volumes or {}
    boot = volumes.get(BOOT)
    if boot is not None and not isinstance(boot.id, str):
        raise UnansweredError(f"scaleway: the boot volume of the server {server.id} has no id")
    return boot


def _instance(
    zone: str, owner: Owner, server: Server | None, *, kept: set[str], held: set[str], port: int
) -> Instance:
    attached = [Attached(kind="volume", id=one, region=zone) for one in sorted(kept)]
    attached += [Attached(kind="address", id=one, region=zone) for one in sorted(held)]
    return Instance(
        provider=PROVIDER,
        id=server.id if server else "",
        name=owner.name,
        run=owner.run,
        stage=owner.stage,
        region=region_of(zone),
        expires_at=owner.expires_at,
        instance_type=server.commercial_type if server else "",
        created_at=server.creation_date if server else None,
        host=address_of(server),
        port=port,
        attached=tuple(attached),
    )


def address_of(server: Server | None) -> str | None:
    """The public IPv4 address of *server*, when it has one."""
    for address in (server.public_ips or ()) if server else ():
        if address.address and str(address.family) == "inet":
            return str(address.address)
    return None
