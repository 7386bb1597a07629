"""What materia owns in the compartment, recognised by its freeform tags alone.

An instance is launched with the tags. Its boot volume is created without any and deleted with it;
before that it is tagged, so that one that stays behind is found again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from materia.machines import Attached, Instance
from materia.marks import Mark, read_mark
from materia.polling import poll
from oci.core import models  # type: ignore[import-untyped]

from materia_oracle.client import Place
from materia_oracle.errors import GoneError
from materia_oracle.shapes import PROVIDER

TERMINATED = "TERMINATED"
TERMINATING = "TERMINATING"


@dataclass(slots=True, kw_only=True)
class Owned:
    """What is known to belong to one instance, by identity.

    Attributes:
        tagged: The volumes that carry the tags.
        settle: How long a new instance may be in no list.
        touched: Whether something was, or may have been, created.
        uncertain: Whether a launch had no answer, so that lists are not to be believed at once.
        ended: Whether an instance of that name is listed that is going or gone.
    """

    place: Place
    mark: Mark
    settle: timedelta
    instances: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    tagged: set[str] = field(default_factory=set)
    touched: bool = False
    uncertain: bool = False
    ended: bool = False

    def know(self, instance: Instance) -> None:
        """Add what a list said earlier."""
        if instance.id:
            self.instances.add(instance.id)
        self.volumes |= {one.id for one in instance.attached if one.kind == "volume"}

    def find(self) -> Any | None:
        """The oldest living instance of that name, as far as the list shows it."""
        found = [
            one
            for one in instances(self.place, display_name=self.mark.name)
            if is_marked(one.freeform_tags, self.mark.name)
        ]
        self.instances |= {one.id for one in found}
        self.ended = any(one.lifecycle_state in {TERMINATED, TERMINATING} for one in found)
        living = [one for one in found if one.lifecycle_state not in {TERMINATED, TERMINATING}]
        return min(living, key=lambda one: (str(one.time_created), one.id), default=None)

    def look(self) -> Any | None:
        """As `find`, for as long as a new instance may be in no list, or until one has ended."""
        for _ in poll(self.settle):
            if (found := self.find()) is not None or self.ended:
                return found
        return None

    def find_volumes(self) -> None:
        """Learn which boot volumes carry the name."""
        self.tagged |= {
            one.id
            for one in boot_volumes(self.place)
            if is_marked(one.freeform_tags, self.mark.name)
        }
        self.volumes |= self.tagged

    def get(self, identity: str) -> Any | None:
        """The instance, or None when there is none of that identity."""
        doing = f"instance {identity}"
        try:
            return self.place.clients.again(
                doing, lambda: self.place.clients.compute.get_instance(identity)
            ).data
        except GoneError:
            return None

    def tag_volumes(self, instance: Any) -> None:
        """Learn the boot volume of *instance*, and tag it while it is there to stay."""
        ending = instance.lifecycle_state in {TERMINATED, TERMINATING}
        mark = read_mark(instance.freeform_tags) or self.mark
        for attachment in attachments(
            self.place,
            instance.availability_domain,
            instance_id=instance.id,
        ):
            volume = attachment.boot_volume_id
            self.volumes.add(volume)
            if ending or volume in self.tagged:
                continue
            tags = models.UpdateBootVolumeDetails(freeform_tags=mark.labels())
            try:
                self.place.clients.again(
                    f"tag boot volume {volume}",
                    partial(self.place.clients.volumes.update_boot_volume, volume, tags),
                )
            except GoneError:
                continue
            self.tagged.add(volume)


def is_marked(tags: dict[str, str] | None, name: str) -> bool:
    """Whether these are tags of materia, and of that name."""
    mark = read_mark(tags)
    return mark is not None and mark.name == name


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

    A user without the right to see volumes is told 404; Oracle deletes them with their instances
    all the same.
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
    try:
        return place.clients.every(
            f"list boot volume attachments in {domain}",
            place.clients.compute.list_boot_volume_attachments,
            availability_domain=domain,
            compartment_id=place.compartment,
            **options,
        )
    except GoneError:
        return []  # as above


def instances_of(place: Place, port: int) -> list[Instance]:
    """Everything of materia in the compartment, each with its boot volume; leftovers have no id."""
    marked = [
        (mark, one)
        for one in instances(place)
        if (mark := read_mark(one.freeform_tags)) is not None
    ]
    living = {one.id for _, one in marked if one.lifecycle_state != TERMINATED}
    existing = {one.id: one for one in boot_volumes(place)}
    kept: dict[str, set[str]] = {}
    for domain in sorted({one.availability_domain for _, one in marked}):
        for attachment in attachments(place, domain):
            if attachment.boot_volume_id in existing:
                kept.setdefault(attachment.instance_id, set()).add(attachment.boot_volume_id)
    found = [
        described(mark, one, kept.get(one.id, ()), region=place.region, port=port)
        for mark, one in marked
        if one.id in living
    ]
    held = {volume for identity in living for volume in kept.get(identity, ())}
    left: dict[str, tuple[Mark, set[str]]] = {}
    for mark, one in marked:
        if one.id not in living and (rest := kept.get(one.id, set()) - held):
            left.setdefault(mark.name, (mark, set()))[1].update(rest)
    for volume in existing.values():
        mark_here = read_mark(volume.freeform_tags)
        if mark_here is not None and volume.id not in held:
            left.setdefault(mark_here.name, (mark_here, set()))[1].add(volume.id)
    found += [
        described(mark, None, volumes, region=place.region, port=port)
        for mark, volumes in left.values()
    ]
    return found


def described(
    mark: Mark, instance: Any | None, volumes: Iterable[str], *, region: str, port: int
) -> Instance:
    """The instance in materia's words."""
    return Instance(
        provider=PROVIDER,
        id=instance.id if instance else "",
        name=mark.name,
        run=mark.run,
        stage=mark.stage,
        region=region,
        expires_at=mark.expires_at,
        instance_type=instance.shape if instance else "",
        created_at=instance.time_created if instance else None,
        port=port,
        attached=tuple(
            Attached(kind="volume", id=one, region=region) for one in sorted(set(volumes))
        ),
    )
