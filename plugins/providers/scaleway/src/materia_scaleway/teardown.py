"""Teardown: delete a server, its volumes and addresses until Scaleway says that all are gone.

`terminate` only detaches a block volume, and a flexible address always stays.
"""

from __future__ import annotations

import time
from datetime import timedelta

from materia.errors import CredentialsError, ProviderError
from materia_providers import teardown as removal
from materia_providers.api_errors import GoneError, UnansweredError
from materia_providers.labels import NAME
from materia_providers.teardown import ForeignError, leftover
from scaleway.instance.v1 import Server, ServerAction  # type: ignore[import-untyped]

from materia_scaleway.errors import translated
from materia_scaleway.inventory import Owned, owner_of_server, users_of
from materia_scaleway.prices import PROVIDER


def remove(owned: Owned, patience: timedelta) -> None:
    """Delete everything that is *owned*; what is gone already is not an error.

    Raises:
        OrphanError: something is, or may be, still there after *patience*.
        ForeignError: the instance is not materia's.
    """
    began = time.monotonic()

    def delete_pass() -> list[str]:
        return _delete_pass(owned, settled=time.monotonic() - began >= owned.settle.total_seconds())

    removal.remove(
        leftover(owned.owner, provider=PROVIDER, region=owned.zone),
        delete_pass,
        console="https://console.scaleway.com",
        patience=patience,
        by_hand=lambda: _by_hand(owned),
    )


def _delete_pass(owned: Owned, *, settled: bool) -> list[str]:
    """Delete what can be deleted now; return descriptions of what is not gone yet."""
    owned.find_server()
    owned.find_address()
    owned.find_volumes()
    zone, alive = owned.zone, []
    for identity in sorted(owned.servers):
        server = owned.get_server(identity)
        if server is None:
            continue
        alive.append(f"the server {identity} in {zone}")
        if owner_of_server(server) is None:
            raise ForeignError(
                f"scaleway: the server {identity} in {zone} was not made by materia; materia "
                "left it alone"
            )
        owned.tag_volumes(server)
        _end(owned, server, settled=settled)
    if alive:
        return alive
    left = [
        f"the volume {one} in {zone}"
        for one in sorted(owned.volumes)
        if not _volume_gone(owned, one, settled=settled)
    ]
    left += [
        f"the address {one} in {zone}"
        for one in sorted(owned.addresses)
        if not _address_gone(owned, one, settled=settled)
    ]
    if not left and owned.uncertain and not settled:
        # A resource whose answer was lost may be missing from lists for a moment.
        return [f"what was made for {owned.owner.name} in {zone}"]
    return left


def _end(owned: Owned, server: Server, *, settled: bool) -> None:
    state = str(server.state)
    api, zone = owned.apis.instances, owned.zone
    if state == "stopping":
        return
    try:
        with translated(f"delete server {server.id} in {zone}"):
            if state == "stopped":
                api.delete_server(server_id=server.id, zone=zone)
            else:
                api.server_action(server_id=server.id, zone=zone, action=ServerAction.TERMINATE)
    except GoneError:
        return
    except (UnansweredError, CredentialsError):
        raise
    except ProviderError:
        # Scaleway does not terminate a server while it starts. One that never finishes
        # starting can be stopped in place, and deleted then.
        if not settled or state != "starting":
            raise
        with translated(f"stop server {server.id} in {zone}"):
            api.server_action(server_id=server.id, zone=zone, action=ServerAction.STOP_IN_PLACE)


def _volume_gone(owned: Owned, identity: str, *, settled: bool) -> bool:
    api, zone = owned.apis.blocks, owned.zone
    doing = f"delete volume {identity} in {zone}"
    try:
        with translated(doing):
            volume = api.get_volume(volume_id=identity, zone=zone)
        if volume.id != identity:
            raise UnansweredError(f"scaleway: cannot {doing}: the answer is not about that volume")
        if str(volume.status) == "deleted":
            return True
        users = users_of(volume)
        if users - owned.servers:
            owned.servers |= users
            return False  # the server is checked first
        if str(volume.status) == "deleting" or (users and not settled):
            return False
        with translated(doing):
            api.delete_volume(volume_id=identity, zone=zone)
    except GoneError:
        return True
    return False


def _address_gone(owned: Owned, identity: str, *, settled: bool) -> bool:
    api, zone = owned.apis.instances, owned.zone
    doing = f"delete address {identity} in {zone}"
    try:
        with translated(doing):
            address = api.get_ip(ip=identity, zone=zone).ip
        if address is None or address.id != identity:
            raise UnansweredError(f"scaleway: cannot {doing}: the answer is not about that address")
        if address.server is not None:
            owned.servers.add(address.server.id)
            if not settled:
                return False
        with translated(doing):
            api.delete_ip(ip=identity, zone=zone)
    except GoneError:
        return True
    return False


def _by_hand(owned: Owned) -> str:
    zone = owned.zone
    ways = [
        f"scw instance server terminate {one} zone={zone} with-ip=true with-block=true"
        for one in sorted(owned.servers)
    ]
    ways += [f"scw block volume delete {one} zone={zone}" for one in sorted(owned.volumes)]
    ways += [f"scw instance ip delete {one} zone={zone}" for one in sorted(owned.addresses)]
    search = f"look for the tag {NAME}={owned.owner.name} in the project"
    if not ways:
        return (
            f"{search}, under Instances, Flexible IPs and Block Storage, and delete what is there"
        )
    shown = "; ".join(f"`{one}`" for one in ways)
    return f"delete it by hand: {shown}; or {search}"
