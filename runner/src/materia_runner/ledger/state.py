"""The folder where materia remembers: the ledger, the logs, and which runs are alive.

A run is alive while its process holds the lock on its file in `alive/`. The kernel drops the lock
with the process, however that ends, so no number of a process is ever guessed at. The file stays
until nothing of the run is left.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from materia.errors import ConfigError, MateriaError

from materia_runner.folders import STATE_VARIABLE

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger

KEPT_RUNS = 200  # a run keeps some 25 kB of plan and two logs
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a provider's label may hold anything


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered in *folder*, which need not exist yet."""

    folder: Path

    @property
    def ledger_file(self) -> Path:
        """Where the ledger is, whether there is one or not."""
        return self.folder / "ledger.db"

    def ledger(self) -> Ledger:
        """The ledger, made when missing; close it when done.

        Raises:
            ConfigError: the folder cannot be written, or the ledger is of a newer materia.
            LedgerError: the file is damaged.
        """
        from materia_runner.ledger.ledger import Ledger

        self._make(self.folder)
        return Ledger(self.ledger_file)

    def run_folder(self, run: str) -> Path:
        """The folder of a run, made when missing; logs of stages go there.

        Raises:
            ConfigError: it cannot be made.
        """
        return self._make(self.folder / "runs" / run)

    def log_file(self, run: str, stage: str, attempt: int) -> Path:
        """Where the log of an attempt is; neither it nor its folder is made."""
        return self.folder / "runs" / run / f"{stage}.{attempt}.log"

    def prune(self) -> None:
        """Remove plans and logs of all but the newest KEPT_RUNS runs; twice changes nothing.

        Those of a run that has not ended stay. What cannot be removed stays until the next time.

        Raises:
            LedgerError: the ledger failed.
        """
        with self.ledger() as ledger:
            kept = set(ledger.prune_plans(newest=KEPT_RUNS))
        with suppress(OSError), os.scandir(self.folder / "runs") as entries:
            for entry in entries:
                if RUN.fullmatch(entry.name) and entry.name not in kept:
                    shutil.rmtree(entry.path, ignore_errors=True)

    @contextmanager
    def hold(self, run: str) -> Iterator[None]:
        """The run is alive inside the block, and until this process ends however it ends.

        When the block is left, the run is settled: see there.

        Raises:
            ConfigError: the folder cannot be written.
        """
        alive = self._make(self.folder / "alive")
        # Locked before it has its name: nobody ever sees the file of a run that begins unlocked.
        temporary = alive / f".{run}.{os.getpid()}"
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            temporary.rename(alive / run)
            try:
                yield
            finally:
                with suppress(MateriaError):  # the file stays, and the next command looks again
                    self.settle(run)
        finally:
            os.close(descriptor)

    def keep_until(self, run: str, moment: datetime) -> None:
        """Let *run* count as alive until *moment* without a process: a worker made by hand.

        Call it inside `hold`; the second time moves the moment.
        """
        (self._make(self.folder / "alive") / run).write_text(moment.astimezone(UTC).isoformat())

    def settle(self, run: str) -> bool:
        """Forget that *run* was alive, when the ledger has its end and no open machine of it.

        Whether nothing is left of it; a second time changes nothing.
        """
        path = self.folder / "alive" / run
        with self.ledger() as ledger:
            if ledger.is_running(run) or ledger.machines(run=run, open_only=True):
                return False
        path.unlink(missing_ok=True)
        return True

    def is_alive(self, run: str, *, now: datetime | None = None) -> bool:
        """Whether the run's process lives, or it is kept until after *now*.

        Args:
            run: Its identity.
            now: In UTC, by a clock that can be trusted; the computer's own when missing.
        """
        return self._seen(run, now) == "alive"

    def was_left(self, run: str, *, now: datetime | None = None) -> bool:
        """Whether the run was started here, is not alive, and was never settled."""
        return self._seen(run, now) == "dead"

    def touch(self, run: str) -> None:
        """Remember in its file in `alive/` that *run* asks for a machine now: see `age`."""
        with suppress(OSError):
            os.utime(self.folder / "alive" / run)

    def age(self, run: str, *, now: datetime) -> timedelta:
        """How long before *now* the run began, or asked for its last machine.

        By its file in `alive/`; zero when there is none.
        """
        try:
            seen = (self.folder / "alive" / run).stat().st_mtime
        except OSError:
            return timedelta(0)
        return now - datetime.fromtimestamp(seen, UTC)

    def forget(self, run: str) -> None:
        """Forget a run that is not alive and of which nothing is left; twice changes nothing."""
        if self.was_left(run):
            (self.folder / "alive" / run).unlink(missing_ok=True)

    def unfinished(self) -> tuple[str, ...]:
        """Identities of the runs that are not alive and have not been settled, sorted.

        One look at a folder; costs next to nothing when there are none.
        """
        try:
            with os.scandir(self.folder / "alive") as entries:
                names = [entry.name for entry in entries]
        except OSError:
            return ()
        runs = (name for name in sorted(names) if not name.startswith("."))
        return tuple(run for run in runs if self._seen(run) == "dead")

    def _seen(self, run: str, now: datetime | None = None) -> Literal["alive", "dead", "settled"]:
        if not RUN.fullmatch(run):
            return "settled"
        try:
            descriptor = os.open(self.folder / "alive" / run, os.O_RDONLY)
        except OSError:
            return "settled"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if not os.fstat(descriptor).st_nlink:  # it ended well while we looked
                return "settled"
            kept = os.read(descriptor, 100).decode("ascii", "replace")
        except BlockingIOError:
            return "alive"
        finally:
            os.close(descriptor)
        with suppress(ValueError):
            return "alive" if datetime.fromisoformat(kept) > (now or datetime.now(UTC)) else "dead"
        return "dead"

    def _make(self, folder: Path) -> Path:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise self._unwritable(PermissionError(13, "Permission denied", str(folder)))
        return folder

    def _unwritable(self, error: OSError) -> ConfigError:
        where = error.filename or self.folder
        return ConfigError(
            f"materia cannot keep its records in {where}: {error.strerror or error}; make the "
            f"folder writable, or name another one in {STATE_VARIABLE}"
        )
