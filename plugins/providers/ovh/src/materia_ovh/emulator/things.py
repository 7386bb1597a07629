"""Resources of the emulated OVHcloud Public Cloud: instances, keys, volumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from materia_ovh.emulator.catalog import Flavor


@dataclass(slots=True, kw_only=True)
class SshKey:
    """A key of the account."""

    id: str
    name: str
    public_key: str
    regions: list[str]


@dataclass(slots=True, kw_only=True)
class Volume:
    """A volume; it outlives the instance that it is attached to."""

    id: str
    name: str
    region: str
    size_gb: int
    created: datetime
    attached_to: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class OvhInstance:
    """An instance; its delete sets `gone_at`."""

    id: str
    name: str
    region: str
    flavor: Flavor
    image: dict[str, Any]
    key: SshKey | None
    user_data: str
    created: datetime
    address: str
    boot: timedelta
    boots: bool
    fails: bool
    gone_at: datetime | None = None

    def status(self, now: datetime) -> str:
        """The status that the API reports."""
        if self.gone_at is not None:
            return "DELETING"
        if now < self.created + self.boot or not (self.boots or self.fails):
            return "BUILD"
        return "ERROR" if self.fails else "ACTIVE"
