"""Local workers: one locked folder for each worker, on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from materia.compute import (
    Architecture,
    Billing,
    Instance,
    InstanceRequest,
    Money,
    Offer,
    Requirements,
)
from materia.errors import NoOfferError, OrphanError, ProviderError
from materia.kit.files import write_whole
from materia_providers.local_process import end_process

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
# The name of a worker's folder contains its run.
WORKER = re.compile(r"materia-(\d{8})t(\d{6})-([0-9a-f]{6})-")
# A folder without a lock may still be in creation for this long.
YOUNG = timedelta(minutes=1)
KEPT = ("provider", "id", "name", "run", "stage", "region", "expires_at", "directory")


class Local:
    """This machine. Its one offer costs nothing and is always available."""

    def __init__(self, directory: Path) -> None:
        """Keep workers under *directory*, which may be missing."""
        self._directory = directory
        self._locks: dict[Path, int] = {}

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """This machine as the only offer, whether or not it meets *requirements*.

        Raises:
            NoOfferError: materia builds no artifact for its processor.
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
                hourly=Money(Decimal(0), requirements.currency),
                billing=Billing(increment=timedelta(seconds=1), minimum=timedelta(0)),
                availability="available",
                price_as_of=datetime.now(UTC),
                price_source="this machine is already paid for",
            )
        ]

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """Create a folder of the request's name; the same name gives the same folder.

        This process holds a lock on the folder until it ends, however it ends: so another run can
        distinguish a worker in use from a leftover.
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
        try:
            if (known := self._read(folder)) is not None:
                self._lock(folder)
                return known
            folder.mkdir(parents=True, exist_ok=True)
            self._lock(folder)
            # The marker comes last and is an atomic write; until then the lock marks the folder.
            values = {name: asdict(instance)[name] for name in KEPT}
            write_whole(folder / MARKER, json.dumps(values, default=str))
        except OSError as error:
            self.destroy_instance(instance)
            raise ProviderError(f"local: cannot create the folder {folder}: {error}") from error
        return instance

    def list_instances(self) -> Sequence[Instance]:
        """Every worker folder that still exists, also those half made or half removed.

        A folder whose run is dead has expired; one in use has not, however long it takes.

        Raises:
            ProviderError: a folder cannot be read.
        """
        found = []
        try:
            folders = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
            for folder in folders:
                if (instance := self._read(folder) or self._unmarked(folder)) is None:
                    continue
                now = datetime.now(UTC)
                expires_at = instance.expires_at
                if self._in_use(folder):
                    expires_at = max(expires_at, now + YOUNG)
                elif (folder / LOCK).exists() or (folder / MARKER).exists():
                    expires_at = min(expires_at, now)
                found.append(replace(instance, expires_at=expires_at))
        except OSError as error:
            raise ProviderError(f"local: cannot list {self._directory}: {error}") from error
        return found

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """Return at once: the host is None, which means this machine."""
        return replace(instance, host=None)

    def destroy_instance(self, instance: Instance, /) -> None:
        """Remove the folder and its contents; one that is gone already is not an error.

        The provider waits for a stage that still ends there after its run was killed.
        """
        folder = self._directory / instance.name
        try:
            end_process(folder)
            self._remove(folder)
        except OSError as error:
            raise OrphanError(
                f"local: cannot remove the folder {folder}: {error}; delete it by hand"
            ) from error

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
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _remove(self, folder: Path) -> None:
        """Remove the marker and the lock last, so that a leftover is listed until then."""
        try:
            for path in sorted(folder.iterdir()):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name not in {MARKER, LOCK}:
                    path.unlink()
            (folder / MARKER).unlink(missing_ok=True)
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()
        except FileNotFoundError:
            if folder.exists():  # another process removes it too and has not finished
                raise
        finally:
            if (lock := self._locks.pop(folder, None)) is not None:
                os.close(lock)

    def _read(self, folder: Path) -> Instance | None:
        """The worker in the folder; None when its marker is missing or not materia's."""
        try:
            values = json.loads((folder / MARKER).read_text())
            values["expires_at"] = datetime.fromisoformat(values["expires_at"])
            instance = Instance(**values)
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None
        return instance if (instance.provider, instance.name) == (PROVIDER, folder.name) else None

    def _unmarked(self, folder: Path) -> Instance | None:
        """The leftover of a worker whose run was killed while it made or removed the folder.

        A folder without a lock may belong to a run that makes it now: its name contains that run.
        """
        found = WORKER.match(folder.name)
        if not folder.is_dir() or not (found or (folder / LOCK).exists()):
            return None
        made_at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        return Instance(
            provider=PROVIDER,
            id=folder.name,
            name=folder.name,
            run=f"{found[1]}T{found[2]}-{found[3]}" if found else "",
            stage="",
            region="here",
            expires_at=made_at + YOUNG,
            directory=str(folder),
        )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
