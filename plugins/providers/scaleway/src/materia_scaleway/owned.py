"""What materia owns in a zone, recognised by its tags alone.

Servers and addresses carry the tags from the request that makes them. The boot volume that comes
with a server has none, so it is tagged at once, and again before its server goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from materia.errors import ProviderError
from materia.machines import Attached, Instance
from materia.marks import NAME, Mark, read_mark
from materia.polling import poll
from scaleway.block.v1 import Volume  # type: ignore[import-untyped]
from scaleway.instance.v1 import Ip, Server  # type: ignore[import-untyped]

from materia_scaleway.client import Apis, pages
from materia_scaleway.errors import GoneError, translated
from materia_scaleway.prices import PROVIDER, region_of

TAG = "materia"
BOOT = "0"  # key of the boot volume among a server's volumes


def tags_of(mark: Mark) -> list[str]:
    """The tags that everything of *mark* carries; the first is what lists are asked for."""
    return [TAG, *(f"{key}={value}" for key, value in mark.labels().items())]


def mark_in(tags: Iterable[str] | None) -> Mark | None:
    """The mark that *tags* are, or None: then it is not materia's."""
    found = dict(tag.partition("=")[::2] for tag in tags or ())
    return read_mark(found) if TAG in found else None


@dataclass(slots=True, kw_only=True)
class Owned:
    """What is known to belong to one instance in one zone, by identity.

    Attributes:
        settle: How long something new may be in no list.
        tagged: The volumes that carry the tags.
        touched: Whether something was, or may have been, created.
        uncertain: Whether a create had no answer, so that lists are not to be believed at once.
    """

    apis: Apis
    zone: str
    mark: Mark
    settle: timedelta
    servers: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    tagged: set[str] = field(default_factory=set)
    touched: bool = False
    uncertain: bool = False

    def know(self, instance: Instance) -> None:
        """Add what a list said earlier."""
        if instance.id:
            self.servers.add(instance.id)
        for one in instance.attached:
            (self.volumes if one.kind == "volume" else self.addresses).add(one.id)

    def find_server(self) -> Server | None:
        """The oldest server of that name, as far as lists show it."""
        found = [one for one in servers(self.apis, self.zone, self._tag) if self.is_mine(one.tags)]
        self.servers |= {one.id for one in found}
        return min(found, key=lambda one: (str(one.creation_date), one.id), default=None)

    def find_address(self) -> Ip | None:
        """An address of that name, best one that a server has."""
        found = [
            one for one in addresses(self.apis, self.zone, self._tag) if self.is_mine(one.tags)
        ]
        self.addresses |= {one.id for one in found}
        self.servers |= {one.server.id for one in found if one.server is not None}
        return min(found, key=lambda one: (one.server is None, one.id), default=None)

    def find_volumes(self) -> None:
        """Learn which volumes carry the name."""
        found = volumes(self.apis, self.zone, self._tag)
        self.tagged |= {one.id for one in found if self.is_mine(one.tags)}
        self.volumes |= self.tagged

    def look_for_server(self, within: timedelta) -> Server | None:
        """The server of that name, looked for until *within* has passed."""
        for _ in poll(within):
            if (server := self.find_server()) is not None:
                return server
            address = self.find_address()
            if address is not None and address.server is not None:
                return self.await_server(address.server.id, within)
        return None

    def await_server(self, identity: str, within: timedelta) -> Server:
        """A server that exists but cannot be seen yet.

        Raises:
            ProviderError: it still cannot be seen when *within* has passed.
        """
        self.touched = True
        for _ in poll(within):
            if (server := self.get_server(identity)) is not None:
                return server
        raise ProviderError(
            f"scaleway: the server {identity} has an address in {self.zone} and cannot be seen"
        )

    def get_server(self, identity: str) -> Server | None:
        """The server, or None when Scaleway says that there is none."""
        try:
            with translated(f"server {identity} in {self.zone}"):
                return self.apis.instances.get_server(server_id=identity, zone=self.zone).server
        except GoneError:
            return None

    def tag_volumes(self, server: Server) -> None:
        """Tag the boot volume of *server*, which was created with it and without tags."""
        boot = (server.volumes or {}).get(BOOT)
        if boot is None or str(boot.volume_type) != "sbs_volume":
            return  # a local disk goes with its server
        self.volumes.add(boot.id)
        if boot.id in self.tagged:
            return
        with translated(f"tag volume {boot.id} in {self.zone}"):
            self.apis.blocks.update_volume(
                volume_id=boot.id,
                zone=self.zone,
                tags=tags_of(mark_in(server.tags) or self.mark),
            )
        self.tagged.add(boot.id)

    def is_mine(self, tags: Iterable[str] | None) -> bool:
        """Whether these are tags of materia, and of that name."""
        mark = mark_in(tags)
        return mark is not None and mark.name == self.mark.name

    def instance(self, server: Server, *, port: int) -> Instance:
        """The instance that *server* is."""
        boot = (server.volumes or {}).get(BOOT)
        kept = self.volumes | ({boot.id} if boot is not None else set())
        return _instance(self.zone, self.mark, server, kept=kept, held=self.addresses, port=port)

    @property
    def _tag(self) -> str:
        return f"{NAME}={self.mark.name}"


def servers(apis: Apis, zone: str, tag: str) -> list[Server]:
    """The servers with that tag."""

    def page(number: int) -> tuple[list[Server], object]:
        answer = apis.instances.list_servers(zone=zone, page=number, per_page=100, tags=[tag])
        return answer.servers, answer.total_count

    with translated(f"list servers in {zone}"):
        return list(pages(page))


def addresses(apis: Apis, zone: str, tag: str) -> list[Ip]:
    """The flexible addresses with that tag."""

    def page(number: int) -> tuple[list[Ip], object]:
        answer = apis.instances.list_ips(zone=zone, page=number, per_page=100, tags=[tag])
        return answer.ips, answer.total_count

    with translated(f"list addresses in {zone}"):
        return list(pages(page))


def volumes(apis: Apis, zone: str, tag: str) -> list[Volume]:
    """The block volumes with that tag."""

    def page(number: int) -> tuple[list[Volume], object]:
        answer = apis.blocks.list_volumes(
            zone=zone, page=number, page_size=100, tags=[tag], include_deleted=False
        )
        return answer.volumes, answer.total_count

    with translated(f"list volumes in {zone}"):
        return list(pages(page))


def instances_of(apis: Apis, zone: str) -> list[Instance]:
    """Everything of materia in *zone*, each with what hangs on it; leftovers have no id."""
    found = [(mark_in(one.tags), one) for one in servers(apis, zone, TAG)]
    parts: dict[str, tuple[Mark, set[str], set[str]]] = {}
    for address in addresses(apis, zone, TAG):
        if (mark := mark_in(address.tags)) is not None:
            parts.setdefault(mark.name, (mark, set(), set()))[2].add(address.id)
    for volume in volumes(apis, zone, TAG):
        if (mark := mark_in(volume.tags)) is not None:
            parts.setdefault(mark.name, (mark, set(), set()))[1].add(volume.id)
    instances: list[Instance] = []
    for mark, server in found:
        if mark is None:
            continue
        _, kept, held = parts.pop(mark.name, (mark, set(), set()))
        boot = (server.volumes or {}).get(BOOT)
        kept |= {boot.id} if boot is not None else set()
        instances.append(_instance(zone, mark, server, kept=kept, held=held, port=22))
    for mark, kept, held in parts.values():
        instances.append(_instance(zone, mark, None, kept=kept, held=held, port=22))
    return instances


def _instance(
    zone: str, mark: Mark, server: Server | None, *, kept: set[str], held: set[str], port: int
) -> Instance:
    attached = [Attached(kind="volume", id=one, region=zone) for one in sorted(kept)]
    attached += [Attached(kind="address", id=one, region=zone) for one in sorted(held)]
    return Instance(
        provider=PROVIDER,
        id=server.id if server else "",
        name=mark.name,
        run=mark.run,
        stage=mark.stage,
        region=region_of(zone),
        expires_at=mark.expires_at,
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
