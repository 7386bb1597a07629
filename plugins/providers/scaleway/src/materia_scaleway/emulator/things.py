"""Resources of the emulated Scaleway: servers, volumes and addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from materia_scaleway.emulator.catalog import Kind


@dataclass(slots=True, kw_only=True)
class Server:
    """A server: stopped until `powered`, in deletion from `ended`, gone at `gone_at`."""

    id: str
    zone: str
    name: str
    project: str
    kind: Kind
    image: str
    tags: list[str]
    created: datetime
    dynamic: bool
    user_data: dict[str, bytes] = field(default_factory=dict)
    powered: datetime | None = None
    boot: timedelta = timedelta(0)
    never_boots: bool = False
    boot_fails: bool = False
    halted: bool = False
    gone_at: datetime | None = None

    def state(self, now: datetime) -> tuple[str, str, tuple[str, ...]]:
        """The state, its detail, and the allowed actions."""
        if self.gone_at is not None:
            return "stopping", "terminating", ("stop_in_place", "backup")
        if self.halted:
            return "stopped in place", "", ("poweron", "terminate", "backup")
        if self.powered is None:
            return "stopped", "", ("poweron", "backup")
        if self.never_boots or now < self.powered + self.boot:
            return "starting", "allocating node", ("stop_in_place", "backup")
        if self.boot_fails:
            return "stopped", "", ("poweron", "backup")
        allowed = ("poweroff", "terminate", "reboot", "stop_in_place", "backup")
        return "running", "booting kernel", allowed


@dataclass(slots=True, kw_only=True)
class Volume:
    """A block volume."""

    id: str
    zone: str
    name: str
    project: str
    size: int
    created: datetime
    server: str | None
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Address:
    """A flexible address; a dynamic one goes with its server."""

    id: str
    zone: str
    ip: str
    project: str
    server: str | None
    tags: list[str]
    dynamic: bool = False
