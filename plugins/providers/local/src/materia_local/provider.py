"""A worker here is a folder: created with its name, listed by it, removed with its contents."""

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
from materia.kit.local_process import end_process

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
# A folder of ours by its name, with the run it belongs to.
WORKER = re.compile(r"materia-(\d{8})t(\d{6})-([0-9a-f]{6})-")
# A folder without a lock is in the making for so long at most.
YOUNG = timedelta(minutes=1)
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
                hourly=Money(Decimal(0), requirements.currency),
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
        try:
            if (known := self._read(folder)) is not None:
                self._lock(folder)
                return known
            folder.mkdir(parents=True, exist_ok=True)
            self._lock(folder)
            # The marker comes last and whole; until then the lock tells that the folder is ours.
            values = {name: asdict(instance)[name] for name in KEPT}
            write_whole(folder / MARKER, json.dumps(values, default=str))
        except OSError as error:
            self.destroy_instance(instance)
            raise ProviderError(f"local: cannot create the folder {folder}: {error}") from error
        return instance

    def list_instances(self) -> Sequence[Instance]:
        """Every worker folder that was not removed, those half made or half removed too.

        One whose run is dead has expired now; one in use has not, however long it takes.

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
        """Remove the folder and all that is in it; one that is gone already is not an error.

        A stage whose run was killed may still be ending in it: that is waited for.
        """
        folder = self._directory / instance.name
        try:
            end_process(folder)
            self._remove(folder)
        except OSError as error:
            raise OrphanError(
                f"local: the folder {folder} cannot be removed: {error}; delete it by hand"
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
        """The marker and the lock go last: what is left of a worker is listed until then."""
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
            if folder.exists():  # somebody else removes it too, and is not done
                raise
        finally:
            if (lock := self._locks.pop(folder, None)) is not None:
                os.close(lock)

    def _read(self, folder: Path) -> Instance | None:
        """The worker in the folder; None when its marker is not there or not ours."""
        try:
            values = json.loads((folder / MARKER).read_text())
            values["expires_at"] = datetime.fromisoformat(values["expires_at"])
            instance = Instance(**values)
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None
        return instance if (instance.provider, instance.name) == (PROVIDER, folder.name) else None

    def _unmarked(self, folder: Path) -> Instance | None:
        """What is left of a worker whose run was killed while it was made or removed.

        One without a lock may be of a run that makes it now: its name says which run that is.
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
