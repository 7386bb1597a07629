"""Delete a server and what it leaves, until Scaleway itself says that each of them is gone.

`terminate` only detaches a block volume, and a flexible address always stays.
"""

from __future__ import annotations

from datetime import timedelta

from materia.errors import CredentialsError, OrphanError, ProviderError
from materia.marks import NAME
from materia.polling import poll
from scaleway.instance.v1 import Server, ServerAction  # type: ignore[import-untyped]

from materia_scaleway.errors import GoneError, UnansweredError, translated
from materia_scaleway.owned import Owned, mark_in


def remove(owned: Owned, patience: timedelta) -> None:
    """Delete everything that is *owned*; what is gone already is not an error.

    Raises:
        OrphanError: something is still there when *patience* has passed, or nobody can tell.
        ProviderError: the instance is not materia's.
    """
    last: ProviderError | None = None
    for left in poll(patience):
        try:
            if _pass(owned, settled=patience - left >= owned.settle):
                return
            last = None
        except CredentialsError as error:
            last = error
            break  # waiting does not help
        except NotOursError:
            raise
        except ProviderError as error:
            last = error
    raise OrphanError(_remains(owned, last)) from last


class NotOursError(ProviderError):
    """A server that was to be destroyed does not carry materia's tags."""


def _pass(owned: Owned, *, settled: bool) -> bool:
    """Ask for what is there, delete what can be deleted now; True when nothing was there."""
    owned.find_server()
    owned.find_address()
    owned.find_volumes()
    alive = False
    for identity in sorted(owned.servers):
        server = owned.get_server(identity)
        if server is None:
            continue
        alive = True
        if mark_in(server.tags) is None:
            raise NotOursError(
                f"scaleway: the server {identity} in {owned.zone} was not made by materia; "
                "it was left alone"
            )
        owned.tag_volumes(server)
        _end(owned, server, settled=settled)
    if alive:
        return False
    gone = [_volume_gone(owned, one, settled=settled) for one in sorted(owned.volumes)]
    gone += [_address_gone(owned, one, settled=settled) for one in sorted(owned.addresses)]
    # What a lost answer may have made is in no list for a moment.
    return all(gone) and (settled or not owned.uncertain)


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
        # Not in this state: a server is not terminated while it starts. One that never ends
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
        if str(volume.status) == "deleted":
            return True
        users = {one.product_resource_id for one in volume.references or ()}
        if users - owned.servers:
            owned.servers |= users
            return False  # its server is looked at first
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
        if address is not None and address.server is not None:
            owned.servers.add(address.server.id)
            if not settled:
                return False
        with translated(doing):
            api.delete_ip(ip=identity, zone=zone)
    except GoneError:
        return True
    return False


def _remains(owned: Owned, last: ProviderError | None) -> str:
    zone = owned.zone
    ways = [
        f"scw instance server terminate {one} zone={zone} with-ip=true with-block=true"
        for one in sorted(owned.servers)
    ]
    ways += [f"scw block volume delete {one} zone={zone}" for one in sorted(owned.volumes)]
    ways += [f"scw instance ip delete {one} zone={zone}" for one in sorted(owned.addresses)]
    why = f" ({last})" if last else ""
    search = f"look for the tag {NAME}={owned.mark.name} in the project"
    if not ways:
        return (
            f"scaleway: {owned.mark.name} may still cost money in {zone}{why}; {search}, under "
            "Instances, Flexible IPs and Block Storage, and delete what is there"
        )
    return (
        f"scaleway: {owned.mark.name} may still cost money in {zone}{why}; delete what is left "
        f"of it by hand: {'; '.join(ways)}; or {search}"
    )
