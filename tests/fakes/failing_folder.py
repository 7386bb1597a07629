"""A folder whose file system calls are counted and made to fail: as on a broken disk."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from materia.errors import MateriaError, ProviderError
from materia_testing.contracts.odd_answers import ODD
from materia_testing.contracts.provider import Billed

CHANGES = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir"})
CALLS = CHANGES | {"open", "os.listdir", "os.scandir", "shutil.rmtree"}
FOREIGN = "notes-of-somebody"


@dataclass(slots=True, kw_only=True)
class Fault:
    number: int
    error: int
    lasting: bool


class FailingFolder:
    """The far end of the local provider.

    Python tells every call to an audit hook before it is made, and an exception there is the
    call's own. Hooks stay for ever, so there is one, and it asks the folder that is in use.
    """

    errors: Mapping[str, type[MateriaError]] = {
        "disk_full": ProviderError,
        "read_only": ProviderError,
    }
    lacks: Mapping[str, str] = {
        "drop_after": "a call to the file system has no answer that could be lost",
        "slow": "no call to the file system is given up",
        "never_boots": "this machine is running already",
        "late_to_list": "a folder is there as soon as it is made",
        "sell_out": "this machine is always there",
        "user_data": "this machine is not set up for a worker",
        "ssh": "this machine is not reached over SSH",
        "look_alike": "a folder carries no labels",
        **dict.fromkeys(ODD, "a call to the file system has no answer that could be odd"),
    }
    current: FailingFolder | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0
        self._faults: list[Fault] = []
        self._creating: int | None = None
        self._keeping = False

    def called(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in CALLS or not self._is_here(arguments):
            return
        self._count += 1
        if self._keeping and event in {"os.remove", "os.rmdir"}:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        if self._creating is not None and event == "os.mkdir":
            raise OSError(self._creating, os.strerror(self._creating))
        for fault in self._faults:
            if self._count == fault.number or (fault.lasting and self._count > fault.number):
                raise OSError(fault.error, os.strerror(fault.error))

    def _is_here(self, arguments: tuple[object, ...]) -> bool:
        path = arguments[0]
        if isinstance(path, int):  # a folder that was opened before
            return True
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        return Path(text).is_relative_to(self.path) or arguments[-1] not in {-1, None, 0}

    def requests(self) -> int:
        return self._count

    def inject(self, fault: str, *, at: int | None = None, lasting: bool = False) -> None:
        numbers = {"drop_before": errno.EIO, "disk_full": errno.ENOSPC, "read_only": errno.EROFS}
        if fault == "never_deletes":
            self._keeping = True
        elif at is None:
            self._creating = numbers[fault]
        else:
            number = self._count + at
            self._faults.append(Fault(number=number, error=numbers[fault], lasting=lasting))

    def heal(self) -> None:
        self._faults.clear()
        self._creating = None
        self._keeping = False

    def still_billed(self) -> Sequence[Billed]:
        """Folders with something in them; disk is what a worker costs here."""
        found = sorted(self.path.iterdir()) if self.path.exists() else []
        return [
            Billed(kind="instance", id=folder.name, name=folder.name)
            for folder in found
            if folder.is_dir() and folder.name != FOREIGN and any(folder.iterdir())
        ]

    def foreign(self) -> Sequence[str]:
        return sorted(str(path) for path in (self.path / FOREIGN).rglob("*"))

    def add_look_alike(self, instance_id: str) -> str:
        raise NotImplementedError(self.lacks["look_alike"])

    def sell_out(self, instance_type: str) -> None:
        raise NotImplementedError(self.lacks["sell_out"])

    def user_data(self, instance_id: str) -> str:
        raise NotImplementedError(self.lacks["user_data"])

    def host_key(self, instance_id: str) -> str:
        raise NotImplementedError(self.lacks["ssh"])


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if FailingFolder.current is not None:
        FailingFolder.current.called(event, arguments)


@cache
def _listen() -> None:
    sys.addaudithook(_hear)


@contextmanager
def failing_folder(path: Path) -> Iterator[FailingFolder]:
    """A folder for workers with something of somebody else's in it."""
    (path / FOREIGN).mkdir(parents=True)
    (path / FOREIGN / "worker.json").write_text("{}")
    _listen()
    FailingFolder.current = FailingFolder(path)
    try:
        yield FailingFolder.current
    finally:
        FailingFolder.current = None
