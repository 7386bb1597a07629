"""Resources of the emulated Oracle Cloud: instances and boot volumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from materia_oracle.emulator.catalog import Shape


@dataclass(slots=True, kw_only=True)
class Instance:
    """An instance; its delete or a failed boot sets `ended_at`, when it is TERMINATED."""

    id: str
    name: str
    compartment: str
    domain: str
    shape: Shape
    ocpus: float
    memory_gb: float
    image: str
    subnet: str
    tags: dict[str, str]
    metadata: dict[str, str]
    created: datetime
    boot: timedelta = timedelta(0)
    boots: bool = True
    host: str | None = None
    deleted_at: datetime | None = None
    ended_at: datetime | None = None
    keeps_volume: bool = False

    @property
    def vnic(self) -> str:
        """The id of its network card."""
        return self.id.replace("ocid1.instance.", "ocid1.vnic.")

    def state(self, now: datetime) -> str:
        """The state that the API reports."""
        if self.ended_at is not None and now >= self.ended_at:
            return "TERMINATED"
        if self.deleted_at is not None:
            return "TERMINATING"
        running = self.boots and now >= self.created + self.boot
        return "RUNNING" if running else "PROVISIONING"


@dataclass(slots=True, kw_only=True)
class BootVolume:
    """A boot volume; it keeps the id of its instance for ever."""

    id: str
    name: str
    domain: str
    compartment: str
    image: str
    size_gb: int
    vpus: int
    created: datetime
    instance: str
    state: str = "AVAILABLE"
    tags: dict[str, str] = field(default_factory=dict)
