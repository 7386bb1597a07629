"""Teardown: terminate an instance and its boot volume until Oracle says that both are gone."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from materia_providers import teardown as removal
from materia_providers.api_errors import GoneError, UnansweredError
from materia_providers.labels import NAME
from materia_providers.teardown import ForeignError, leftover

from materia_oracle.catalog.shapes import PROVIDER
from materia_oracle.inventory import TERMINATED, TERMINATING, Owned, owner_of_instance


def remove(owned: Owned, patience: timedelta) -> None:
    """Delete everything that is *owned*; what is gone already is not an error.

    Raises:
        OrphanError: something is, or may be, still there after *patience*.
        ForeignError: the instance is not materia's.
    """
    seen: set[str] = set()
    began = time.monotonic()

    def delete_pass() -> list[str]:
        return _delete_pass(
            owned, seen, settled=time.monotonic() - began >= owned.settle.total_seconds()
        )

    removal.remove(
        leftover(owned.owner, provider=PROVIDER, region=owned.place.region),
        delete_pass,
        console="https://cloud.oracle.com",
        patience=patience,
        by_hand=lambda: _by_hand(owned),
    )


def _delete_pass(owned: Owned, seen: set[str], *, settled: bool) -> list[str]:
    """Delete what can be deleted now; return descriptions of what is not gone yet."""
    owned.find()
    owned.find_volumes()
    left: list[str] = []
    for identity in sorted(owned.instances):
        instance = owned.get(identity)
        if instance is None:
            # Terminated instances stay listed for an hour, so 404 for one that was never seen may
            # mean that it is not visible yet.
            if identity not in seen and not settled:
                left.append(f"the instance {identity}")
            continue
        seen.add(identity)
        if owner_of_instance(instance) is None:
            raise ForeignError(
                f"oracle: the instance {identity} was not made by materia; materia left it alone"
            )
        owned.tag_volumes(instance)
        if instance.lifecycle_state == TERMINATED:
            continue
        left.append(f"the instance {identity}")
        if instance.lifecycle_state != TERMINATING:
            _terminate(owned, instance)
    if left:
        return left
    left = [
        f"the boot volume {one}" for one in sorted(owned.volumes) if not _volume_gone(owned, one)
    ]
    if not left and owned.uncertain and not settled:
        # A resource whose answer was lost may be missing from lists for a moment.
        return [f"what was made for {owned.owner.name}"]
    return left


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
            f"read boot volume {identity}", lambda: api.get_boot_volume(identity)
        ).data
        if volume.id != identity:
            raise UnansweredError(
                f"oracle: cannot read boot volume {identity}: the answer is not about that volume"
            )
        if volume.lifecycle_state == TERMINATED:
            return True
        if volume.lifecycle_state != TERMINATING:
            owned.place.clients.again(
                f"delete boot volume {identity}", lambda: api.delete_boot_volume(identity)
            )
    except GoneError:
        return True
    return False


def _by_hand(owned: Owned) -> str:
    ways = [
        f"oci compute instance terminate --instance-id {one} --preserve-boot-volume false"
        for one in sorted(owned.instances)
    ]
    ways += [f"oci bv boot-volume delete --boot-volume-id {one}" for one in sorted(owned.volumes)]
    tag = f"{NAME}={owned.owner.name}"
    search = f"look in the compartment {owned.place.compartment} for the freeform tag {tag}"
    if not ways:
        return f"{search}, and delete what is there"
    shown = "; ".join(f"`{one}`" for one in ways)
    return f"delete it by hand: {shown}; or {search}"
