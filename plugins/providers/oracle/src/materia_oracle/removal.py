"""Terminate an instance with its boot volume, until Oracle itself says that both are gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from materia.errors import CredentialsError, OrphanError, ProviderError
from materia.marks import NAME, read_mark
from materia.polling import poll

from materia_oracle.errors import GoneError
from materia_oracle.owned import TERMINATED, TERMINATING, Owned


class NotOursError(ProviderError):
    """An instance that was to be destroyed does not carry materia's tags."""


def remove(owned: Owned, patience: timedelta) -> None:
    """Delete everything that is *owned*; what is gone already is not an error.

    Raises:
        OrphanError: something is still there when *patience* has passed, or nobody can tell.
        NotOursError: the instance is not materia's.
    """
    seen: set[str] = set()
    last: ProviderError | None = None
    for left in poll(patience):
        try:
            if _pass(owned, seen, settled=patience - left >= owned.settle):
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


def _pass(owned: Owned, seen: set[str], *, settled: bool) -> bool:
    """Ask for what is there, delete what can be deleted now; True when nothing was there."""
    owned.find()
    owned.find_volumes()
    gone = True
    for identity in sorted(owned.instances):
        instance = owned.get(identity)
        if instance is None:
            # Terminated instances stay listed for an hour, so 404 for one that was never seen may
            # mean that it cannot be seen yet.
            gone = gone and (identity in seen or settled)
            continue
        seen.add(identity)
        if read_mark(instance.freeform_tags) is None:
            raise NotOursError(
                f"oracle: the instance {identity} was not made by materia; it was left alone"
            )
        owned.tag_volumes(instance)
        if instance.lifecycle_state == TERMINATED:
            continue
        gone = False
        if instance.lifecycle_state != TERMINATING:
            _terminate(owned, instance)
    if not gone:
        return False
    left = [one for one in sorted(owned.volumes) if not _volume_gone(owned, one)]
    # What a lost answer may have made is in no list for a moment.
    return not left and (settled or not owned.uncertain)


def _terminate(owned: Owned, instance: Any) -> None:
    def call() -> object:
        return owned.place.clients.compute.terminate_instance(
            instance.id,
            preserve_boot_volume=False,
            preserve_data_volumes_created_at_launch=False,
        )

    try:
        owned.place.clients.again(f"terminate {instance.id}", call)
    except GoneError:
        return


def _volume_gone(owned: Owned, identity: str) -> bool:
    """Whether the boot volume is gone; one that its instance left behind is deleted."""
    api = owned.place.clients.volumes
    try:
        volume = owned.place.clients.again(
            f"boot volume {identity}", lambda: api.get_boot_volume(identity)
        ).data
        if volume.lifecycle_state == TERMINATED:
            return True
        if volume.lifecycle_state != TERMINATING:
            owned.place.clients.again(
                f"delete boot volume {identity}", lambda: api.delete_boot_volume(identity)
            )
    except GoneError:
        return True
    return False


def _remains(owned: Owned, last: ProviderError | None) -> str:
    ways = [
        f"oci compute instance terminate --instance-id {one} --preserve-boot-volume false"
        for one in sorted(owned.instances)
    ]
    ways += [f"oci bv boot-volume delete --boot-volume-id {one}" for one in sorted(owned.volumes)]
    why = f" ({last})" if last else ""
    tag = f"{NAME}={owned.mark.name}"
    search = f"look in the compartment {owned.place.compartment} for the freeform tag {tag}"
    head = f"oracle: {owned.mark.name} may still cost money in {owned.place.region}{why}; "
    if not ways:
        return f"{head}{search}, and delete what is there"
    return f"{head}delete what is left of it by hand: {'; '.join(ways)}; or {search}"
