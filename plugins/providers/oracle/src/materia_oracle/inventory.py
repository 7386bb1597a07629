"""Inventory of a compartment: find materia's instances and boot volumes by their freeform tags.

An instance has the tags from its launch. Oracle creates its boot volume without tags and deletes it
with the instance. materia tags the volume before that, so that a sweep finds one that stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from materia.compute import Attached, Instance
from materia_providers.api_errors import GoneError, UnansweredError
from materia_providers.labels import Owner, entry_owner
from materia_providers.polling import look_for
from oci.core import models  # type: ignore[import-untyped]

from materia_oracle.catalog.shapes import PROVIDER
from materia_oracle.client import Place
from materia_oracle.errors import translated

TERMINATED = "TERMINATED"
TERMINATING = "TERMINATING"


@dataclass(slots=True, kw_only=True)
class Owned:
    """The resources known to belong to one instance, by id.

    Attributes:
        tagged: The volumes that carry the tags.
        settle: How long a new instance may be missing from lists.
        touched: Whether materia created, or may have created, something.
        uncertain: Whether a launch had no answer, so that a new instance may not be listed yet.
        ended: Whether a list shows an instance of that name as TERMINATING or TERMINATED.
    """

    place: Place
    owner: Owner
    settle: timedelta
    instances: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    tagged: set[str] = field(default_factory=set)
    touched: bool = False
    uncertain: bool = False
    ended: bool = False

    def know(self, instance: Instance) -> None:
        """Add the resources of an earlier list."""
        if instance.id:
            self.instances.add(instance.id)
        self.volumes |= {one.id for one in instance.attached if one.kind == "volume"}

    def find(self) -> Any | None:
        """The oldest living instance of that name in the list."""
        found = [
            one
            for one in instances(self.place, display_name=self.owner.name)
            if self.is_mine(owner_of_instance(one))
        ]
        self.instances |= {one.id for one in found}
        self.ended = any(one.lifecycle_state in {TERMINATED, TERMINATING} for one in found)
        living = [one for one in found if one.lifecycle_state not in {TERMINATED, TERMINATING}]
        return min(living, key=lambda one: (str(one.time_created), one.id), default=None)

    def look(self) -> Any | None:
        """Call `find` until the instance is listed, has ended, or the settle time is over."""

        def ended_or_found() -> tuple[Any | None] | None:
            found = self.find()
            return (found,) if found is not None or self.ended else None

        seen = look_for(ended_or_found, self.settle)
        return seen[0] if seen else None

    def find_volumes(self) -> None:
        """Find the boot volumes that carry the name and that no foreign instance uses."""
        for one in boot_volumes(self.place):
            if self.is_mine(owner_of_volume(one)) and not self._is_held_by_a_stranger(one):
                self.tagged.add(one.id)
        self.volumes |= self.tagged

    def _is_held_by_a_stranger(self, volume: Any) -> bool:
        """Whether a foreign instance uses the volume: people copy tags, too."""
        for one in attachments(self.place, volume.availability_domain, boot_volume_id=volume.id):
            if one.boot_volume_id != volume.id or one.instance_id in self.instances:
                continue
            holder = self.get(one.instance_id)
            alive = holder is not None and holder.lifecycle_state != TERMINATED
            if alive and owner_of_instance(holder) is None:
                return True
        return False

    def get(self, identity: str) -> Any | None:
        """The instance, or None when no instance has that id."""
        try:
            return read_instance(self.place, identity)
        except GoneError:
            return None

    def tag_volumes(self, instance: Any) -> None:
        """Find the boot volume of *instance*, and tag it unless it is going."""
        ending = instance.lifecycle_state in {TERMINATED, TERMINATING}
        owner = owner_of_instance(instance) or self.owner
        for attachment in attachments(
            self.place,
            instance.availability_domain,
            instance_id=instance.id,
        ):
            volume = attachment.boot_volume_id
            if attachment.instance_id != instance.id:
                continue
            self.volumes.add(volume)
            if ending or volume in self.tagged:
                continue
            tags = models.UpdateBootVolumeDetails(freeform_tags=owner.labels())
            try:
                self.place.clients.again(
                    f"tag boot volume {volume}",
                    partial(self.place.clients.volumes.update_boot_volume, volume, tags),
                )
            except GoneError:
                continue
            self.tagged.add(volume)

    def is_mine(self, owner: Owner | None) -> bool:
        """Whether this owner has that name."""
        return owner is not None and owner.name == self.owner.name


def owner_of_instance(instance: Any) -> Owner | None:
    """The owner of an instance, or None when its name or its tags are not materia's.

    Raises:
        ProviderError: the answer does not say who owns the instance.
    """
    with translated(f"read instance {instance.id}"):
        return entry_owner(instance.id, instance.freeform_tags, named=instance.display_name)


def owner_of_volume(volume: Any) -> Owner | None:
    """The owner of a boot volume by its tags alone, since Oracle chooses its name."""
    with translated(f"read boot volume {volume.id}"):
        return entry_owner(volume.id, volume.freeform_tags)


def read_instance(place: Place, identity: str) -> Any:
    """The instance of that id.

    Raises:
        GoneError: no instance has that id.
        ProviderError: the answer is about another resource or cannot be read.
    """
    doing = f"read instance {identity}"

    def ask() -> Any:
        answer = place.clients.compute.get_instance(identity)
        if answer.data.id != identity or not isinstance(answer.data.lifecycle_state, str):
            raise UnansweredError(f"oracle: cannot {doing}: the answer is not about that instance")
        return answer

    return place.clients.again(doing, ask).data


def instances(place: Place, **options: str) -> list[Any]:
    """Every instance in the compartment, the terminated ones of the last hour too."""
    return place.clients.every(
        "list instances",
        place.clients.compute.list_instances,
        compartment_id=place.compartment,
        **options,
    )


def boot_volumes(place: Place) -> list[Any]:
    """Every boot volume in the compartment that is not gone.

    Oracle answers 404 to a user without permission to list volumes; it deletes them with their
    instances all the same.
    """
    try:
        found = place.clients.every(
            "list boot volumes",
            place.clients.volumes.list_boot_volumes,
            compartment_id=place.compartment,
        )
    except GoneError:
        return []
    return [one for one in found if one.lifecycle_state != TERMINATED]


def attachments(place: Place, domain: str, **options: str) -> list[Any]:
    """The boot volumes of instances in an availability domain; detached ones stay listed."""
    doing = f"list boot volume attachments in {domain}"
    try:
        found = place.clients.every(
            doing,
            place.clients.compute.list_boot_volume_attachments,
            availability_domain=domain,
            compartment_id=place.compartment,
            **options,
        )
    except GoneError:
        return []  # no permission to list, as above
    if not all(one.instance_id and one.boot_volume_id for one in found):
        raise UnansweredError(
            f"oracle: cannot {doing}: an entry does not name its instance and volume"
        )
    return found


def instances_of(place: Place, port: int) -> list[Instance]:
    """All instances of materia in the compartment with their boot volumes; leftovers have no id."""
    everything = [(owner_of_instance(one), one) for one in instances(place)]
    marked = [(owner, one) for owner, one in everything if owner is not None]
    living = {one.id for _, one in marked if one.lifecycle_state != TERMINATED}
    strangers = {
        one.id for owner, one in everything if owner is None and one.lifecycle_state != TERMINATED
    }
    existing = {one.id: (owner_of_volume(one), one) for one in boot_volumes(place)}
    kept: dict[str, set[str]] = {}
    domains = {one.availability_domain for _, one in marked}
    domains |= {one.availability_domain for owner, one in existing.values() if owner is not None}
    for domain in sorted(domains):
        for attachment in attachments(place, domain):
            if attachment.boot_volume_id in existing:
                kept.setdefault(attachment.instance_id, set()).add(attachment.boot_volume_id)
    found = [
        described(owner, one, kept.get(one.id, ()), region=place.region, port=port)
        for owner, one in marked
        if one.id in living
    ]
    held = {volume for identity in living | strangers for volume in kept.get(identity, ())}
    left: dict[str, tuple[Owner, set[str]]] = {}
    for owner, one in marked:
        if one.id not in living and (rest := kept.get(one.id, set()) - held):
            left.setdefault(owner.name, (owner, set()))[1].update(rest)
    for own, volume in existing.values():
        if own is not None and volume.id not in held:
            left.setdefault(own.name, (own, set()))[1].add(volume.id)
    found += [
        described(owner, None, volumes, region=place.region, port=port)
        for owner, volumes in left.values()
    ]
    return found


def described(
    owner: Owner, instance: Any | None, volumes: Iterable[str], *, region: str, port: int
) -> Instance:
    """The SDK's instance as an instance of materia."""
    return Instance(
        provider=PROVIDER,
        id=instance.id if instance else "",
        name=owner.name,
        run=owner.run,
        stage=owner.stage,
        region=region,
        expires_at=owner.expires_at,
        instance_type=instance.shape if instance else "",
        created_at=instance.time_created if instance else None,
        port=port,
        attached=tuple(
            Attached(kind="volume", id=one, region=region) for one in sorted(set(volumes))
        ),
    )
