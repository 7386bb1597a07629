"""State of the emulated OVHcloud Public Cloud: one project, its resources and their bill."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from materia.compute import Billing, Money
from materia_testing.emulation.meter import HOUR, Metered
from materia_testing.emulation.service import Service
from materia_testing.emulation.ssh_machines.boot import Booting

from materia_ovh.emulator.bodies import image_body
from materia_ovh.emulator.catalog import FLAVORS, IMAGES, REGIONS, Flavor, hourly
from materia_ovh.emulator.things import OvhInstance, SshKey, Volume

CLOCK_HOURS = Billing(increment=HOUR, minimum=HOUR, alignment="clock", meter_from="active")
NEVER = datetime.max.replace(tzinfo=UTC)


class OvhProject(Service):
    """The state behind the API, with one account and one project.

    Attributes:
        skew: How far the service's clock is ahead of the client's.
        continent: The real API that it emulates: eu, ca or us.
        project: Id of the project.
    """

    provider = "ovh"

    def __init__(
        self, *, skew: timedelta = timedelta(hours=2), continent: str = "eu", **options: Any
    ) -> None:
        super().__init__(**options)
        self.skew = skew
        self.continent = continent
        self.application_key = "emulatedovhapplk"
        self.application_secret = "emulated-ovh-application-secret"  # noqa: S105 -- opens only this
        self.consumer_key = "emulated-ovh-consumer-key"
        self.project = hashlib.md5(b"materia", usedforsecurity=False).hexdigest()
        self.instances: dict[str, OvhInstance] = {}
        self.keys: dict[str, SshKey] = {}
        self.volumes: dict[str, Volume] = {}

    def user_data(self, identity: str) -> str:
        """As it was sent."""
        return self.instances[identity].user_data

    def collect(self) -> None:
        """Remove the instances whose deletion has finished; volumes stay."""
        now = self.now()
        for instance in list(self.instances.values()):
            if instance.gone_at is not None and instance.gone_at <= now:
                del self.instances[instance.id]
                for volume in self.volumes.values():
                    volume.attached_to = [i for i in volume.attached_to if i != instance.id]

    def add_foreign(self) -> None:
        """Add foreign instances, keys and a volume, with names close to materia's."""
        flavor, region = FLAVORS[2], REGIONS[0]
        image = image_body(*IMAGES[0], region)
        copied = "--20261001T000000-abcdef--extract--materia1790000000"
        near = ("materia-web", "materia-20261001t000000-abcdef-extract", "build--1--2--3")
        for name in (*near, f"precious-db{copied}"):
            key = self._add_key(name, "ssh-ed25519 AAAAforeign", [region], foreign=True)
            instance = self._add_instance(
                name, region, flavor=flavor, image=image, key=key, foreign=True
            )
            volume = Volume(
                id=str(uuid.uuid4()),
                name=name,
                region=region,
                size_gb=10,
                created=self.now(),
                attached_to=[instance.id],
            )
            self.volumes[volume.id] = volume
            self.meter.start(
                Metered(
                    kind="volume",
                    id=volume.id,
                    name=name,
                    region=region,
                    hourly=Money(Decimal("0.0006"), "EUR"),
                    started_at=volume.created,
                    foreign=True,
                )
            )

    def _visible(self, instance: OvhInstance) -> bool:
        return self.now() >= instance.created + self.behaviour.invisible

    def _add_key(
        self, name: str, public_key: str, regions: list[str], *, foreign: bool = False
    ) -> SshKey:
        identity = base64.b64encode(name.encode()).hex()
        key = SshKey(id=identity, name=name, public_key=public_key, regions=regions)
        self.keys[key.id] = key
        line = Metered(
            kind="key", id=key.id, name=name, region="", started_at=self.now(), foreign=foreign
        )
        self.meter.start(line)
        return key

    def _add_instance(
        self,
        name: str,
        region: str,
        *,
        flavor: Flavor,
        image: dict[str, Any],
        key: SshKey | None,
        user_data: str = "",
        foreign: bool = False,
    ) -> OvhInstance:
        behaviour = self.behaviour
        boots = foreign or not (behaviour.never_boots or behaviour.boot_fails)
        instance = OvhInstance(
            id=str(uuid.uuid4()),
            name=name,
            region=region,
            flavor=flavor,
            image=image,
            key=key,
            user_data=user_data,
            created=self.now(),
            address=self.documentation_address(),
            boot=timedelta(0) if foreign else behaviour.boot,
            boots=boots,
            fails=behaviour.boot_fails and not foreign,
        )
        self.instances[instance.id] = instance
        self.meter.start(
            Metered(
                kind="instance",
                id=instance.id,
                name=name,
                region=region,
                hourly=Money(hourly(flavor, region), "EUR"),
                billing=CLOCK_HOURS,
                started_at=instance.created + instance.boot if boots else NEVER,
                foreign=foreign,
            )
        )
        if not foreign:
            instance.address = self.power_on(self._booting(instance)) or instance.address
        return instance

    def _booting(self, instance: OvhInstance) -> Booting:
        return Booting(
            provider=self.provider,
            id=instance.id,
            name=_host_name(instance.name),
            user_data=instance.user_data,
            authorized_keys=(instance.key.public_key,) if instance.key else (),
            login=instance.image["user"],
            vcpus=instance.flavor.vcpus,
            memory_gib=Decimal(instance.flavor.ram_gib),
            disk_gib=instance.flavor.disk_gib,
            boot_seconds=self.boot_seconds,
        )


def _host_name(name: str) -> str:
    """OpenStack's host name for an instance name: a DNS label, cut at 63 characters."""
    return re.sub(r"[^a-z0-9-]", "-", name.lower())[:63].strip("-")
