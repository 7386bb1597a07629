"""A worker here is a folder: created with its name, listed by it, removed with its contents."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from materia.errors import NoOfferError, OrphanError, ProviderError
from materia.machines import (
    Architecture,
    Billing,
    Instance,
    InstanceRequest,
    Money,
    Offer,
    Requirements,
)

PROVIDER = "local"
MARKER = "worker.json"
LOCK = "in-use.lock"
MACHINES: dict[str, Architecture] = {
    "x86_64": "x86_64",
    "AMD64": "x86_64",
    "aarch64": "arm64",
    "arm64": "arm64",
}
GIB = 1024**3
KEPT = ("provider", "id", "name", "run", "stage", "region", "expires_at", "directory")


class Local:
    """This machine. Its one offer costs nothing and is always available."""

    def __init__(self, directory: Path) -> None:
        """Keep workers under *directory*, which need not exist yet."""
        self._directory = directory
        self._locks: dict[Path, int] = {}

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """This machine as it is; *requirements* are a wish here, as the machine is already there.

        Raises:
            NoOfferError: it has a processor that materia builds no artifact for.
        """
        architecture = MACHINES.get(platform.machine())
        if architecture is None or architecture not in requirements.architectures:
            wanted = " or ".join(requirements.architectures)
            raise NoOfferError(f"local: this machine is {platform.machine()}, not {wanted}")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return [
            Offer(
                provider=PROVIDER,
                region="here",
                instance_type="this-machine",
                vcpus=os.cpu_count() or 1,
                cpu="unknown",
                architecture=architecture,
                memory_gib=round(Decimal(memory) / GIB, 1),
                disk_gib=shutil.disk_usage(_existing(self._directory)).free // GIB,
                hourly=Money(Decimal(0), "EUR"),
                billing=Billing(increment=timedelta(seconds=1), minimum=timedelta(0)),
                availability="available",
                price_as_of=datetime.now(UTC),
                price_source="this machine is already paid for",
            )
        ]

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """A folder of the request's name; the same name again gives the same folder.

        It is locked as long as this process lives, however that ends: that is how another run
        tells a worker in use from one that was left behind.
        """
        folder = self._directory / request.name
        instance = Instance(
            provider=PROVIDER,
            id=request.name,
            name=request.name,
            run=request.run,
            stage=request.stage,
            region=request.offer.region,
            expires_at=request.expires_at,
            directory=str(folder),
        )
        if (known := self._read(folder)) is not None:
            self._lock(folder)
            return known
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock(folder)
            # The marker comes last and whole: a folder without one is not a worker.
            temporary = folder / f"{MARKER}.part"
            values = {name: asdict(instance)[name] for name in KEPT}
            temporary.write_text(json.dumps(values, default=str))
            temporary.replace(folder / MARKER)
        except OSError as error:
            self._remove(folder)
            raise ProviderError(f"local: cannot create the folder {folder}: {error}") from error
        return instance

    def list_instances(self) -> Sequence[Instance]:
        """Every worker folder that was not removed.

        One whose run is dead has expired now; one in use has not, however long it takes.
        """
        if not self._directory.is_dir():
            return []
        found = []
        for folder in sorted(self._directory.iterdir()):
            if (instance := self._read(folder)) is None:
                continue
            now = datetime.now(UTC)
            expires_at = (
                max(instance.expires_at, now + timedelta(minutes=1))
                if self._in_use(folder)
                else min(instance.expires_at, now)
            )
            found.append(replace(instance, expires_at=expires_at))
        return found

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """Return at once: the host is None, which means this machine."""
        return replace(instance, host=None)

    def destroy_instance(self, instance: Instance, /) -> None:
        """Remove the folder and all that is in it; one that is gone already is not an error."""
        folder = self._directory / instance.name
        self._remove(folder)
        if folder.exists():
            raise OrphanError(f"local: the folder {folder} cannot be removed; delete it by hand")

    def _lock(self, folder: Path) -> None:
        if folder in self._locks:
            return
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another run adopted it before
            os.close(lock)
        else:
            self._locks[folder] = lock

    def _in_use(self, folder: Path) -> bool:
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    def _remove(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if (lock := self._locks.pop(folder, None)) is not None:
            os.close(lock)

    def _read(self, folder: Path) -> Instance | None:
        try:
            values = json.loads((folder / MARKER).read_text())
        except (OSError, ValueError):
            return None
        values["expires_at"] = datetime.fromisoformat(values["expires_at"])
        return Instance(**values)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
