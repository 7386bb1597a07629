"""Resources of the emulated Hetzner Cloud: servers, keys, IPs, volumes, firewalls, actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from materia_hetzner.emulator.catalog import ServerType
from materia_hetzner.emulator.formats import selects, stamp


@dataclass(slots=True, kw_only=True)
class Server:
    """A server; `gone_at` is set by its delete."""

    id: int
    name: str
    labels: dict[str, str]
    type: ServerType
    location: str
    image: dict[str, Any]
    created: datetime
    user_data: str
    keys: tuple[str, ...]
    boot: timedelta
    boots: bool
    gone_at: datetime | None = None
    ipv4: int | None = None
    ipv6: int | None = None
    host: str | None = None
    protected: bool = False
    off: bool = False
    disk_gb: int = 0  # that of its type, unless it has got another type since

    def __post_init__(self) -> None:
        """A new server has the disk of its type."""
        self.disk_gb = self.disk_gb or self.type.disk_gb

    def status(self, now: datetime) -> str:
        """The status that the API reports."""
        if self.gone_at is not None:
            return "deleting"
        if self.off:
            return "off"
        passed = now - self.created
        if not self.boots or passed < self.boot / 2:
            return "initializing"
        return "starting" if passed < self.boot else "running"


@dataclass(slots=True, kw_only=True)
class Key:
    """An SSH key of the project."""

    id: int
    name: str
    public_key: str
    fingerprint: str
    labels: dict[str, str]
    created: datetime


@dataclass(slots=True, kw_only=True)
class Address:
    """A primary IP; implicit ones are deleted with their server."""

    id: int
    name: str
    type: str
    ip: str
    location: str
    created: datetime
    assignee: int | None
    auto_delete: bool
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Volume:
    """A volume; deleting its server only detaches it."""

    id: int
    name: str
    size_gb: int
    location: str
    created: datetime
    server: int | None
    labels: dict[str, str] = field(default_factory=dict)
    format: str | None = "ext4"
    protected: bool = False


@dataclass(slots=True, kw_only=True)
class Firewall:
    """A firewall; `targets` are ids of servers, and label selectors."""

    id: int
    name: str
    labels: dict[str, str]
    created: datetime
    rules: list[dict[str, Any]]
    targets: list[int | str] = field(default_factory=list)

    def applies(self, server: Server) -> bool:
        """Whether it applies to the server, by its id or by its labels."""
        return server.id in self.targets or any(
            selects(target, server.labels) for target in self.targets if isinstance(target, str)
        )


@dataclass(slots=True, kw_only=True)
class Action:
    """An operation that runs until `ends_at`; for ever when that is None."""

    id: int
    command: str
    resources: tuple[tuple[str, int], ...]
    started: datetime
    ends_at: datetime | None
    error: str | None = None

    def body(self, now: datetime) -> dict[str, Any]:
        """The body of the action."""
        over = self.ends_at is not None and now >= self.ends_at
        failed = over and self.error is not None
        return {
            "id": self.id,
            "command": self.command,
            "status": ("error" if failed else "success") if over else "running",
            "progress": 100 if over else 0,
            "started": stamp(self.started),
            "finished": stamp(self.ends_at) if over and self.ends_at else None,
            "resources": [{"id": number, "type": kind} for kind, number in self.resources],
            "error": {"code": self.error, "message": "Action failed"} if failed else None,
        }
