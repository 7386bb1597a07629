"""State folder of materia: the ledger, the logs, and a lock file for every live run.

A run is alive while its process holds the lock on its file in `alive/`. The kernel releases the
lock when the process ends, however it ends, so materia never relies on a process id. The file stays
until nothing of the run is left. The file of another computer's run has no process: a moment in it
says until when the run counts as alive.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from materia._dataclass import dataclass
from materia.errors import ConfigError, MateriaError

from materia_runner.folders import STATE_VARIABLE

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger

KEPT_RUNS = 200  # a run has a plan of some 25 kB and two logs
ELSEWHERE = "elsewhere"
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a provider's label may hold anything


@dataclass(frozen=True, slots=True)
class State:
    """The state folder, which need not exist yet."""

    folder: Path

    @property
    def ledger_file(self) -> Path:
        """Path of the ledger, whether it exists or not."""
        return self.folder / "ledger.db"

    def ledger(self) -> Ledger:
        """Open the ledger, and create it when missing; the caller closes it.

        Raises:
            ConfigError: the folder cannot be written, or a newer materia wrote the ledger.
            LedgerError: the file is damaged.
        """
        from materia_runner.ledger.ledger import Ledger

        self._make(self.folder)
        return Ledger(self.ledger_file)

    def run_folder(self, run: str) -> Path:
        """The folder of a run for the logs of its stages, created when missing.

        Raises:
            ConfigError: it cannot be created.
        """
        return self._make(self.folder / "runs" / run)

    def log_file(self, run: str, stage: str, attempt: int) -> Path:
        """Path of the log of an attempt; neither it nor its folder is created."""
        return self.folder / "runs" / run / f"{stage}.{attempt}.log"

    def prune(self) -> None:
        """Remove plans and logs of all but the newest KEPT_RUNS runs.

        A run that has not ended keeps its own. A file that cannot be removed stays until the next
        call; a second call changes nothing.

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
        """Mark the run as alive with a lock, for this block or until this process ends.

        At the end of the block it calls `settle`.

        Raises:
            ConfigError: the folder cannot be written.
        """
        alive = self._make(self.folder / "alive")
        # Lock the file before it gets its name, so that no process sees it unlocked.
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
        """Count *run* as alive until *moment* without a process, for a manual worker.

        Call it inside `hold`; a second call replaces the moment.
        """
        (self._make(self.folder / "alive") / run).write_text(moment.astimezone(UTC).isoformat())

    def keep_elsewhere(self, run: str, moment: datetime) -> None:
        """Count *run*, which another computer started, as alive until *moment*.

        A later call replaces the moment, at once: no process sees the file without one.

        Raises:
            ConfigError: the folder cannot be written.
        """
        alive = self._make(self.folder / "alive")
        temporary = alive / f".{run}.{os.getpid()}"
        try:
            temporary.write_text(f"{moment.astimezone(UTC).isoformat()} {ELSEWHERE}")
            temporary.rename(alive / run)
        except OSError as error:
            raise self._unwritable(error) from error

    def is_elsewhere(self, run: str) -> bool:
        """Whether another computer started *run*, and something of it may be left."""
        if not RUN.fullmatch(run):
            return False
        try:
            return (self.folder / "alive" / run).read_text().endswith(f" {ELSEWHERE}")
        except (OSError, UnicodeDecodeError):
            return False

    def settle(self, run: str) -> bool:
        """Remove the file of *run* when the ledger has its end and no open machine of it.

        Returns whether nothing of the run is left; a second call changes nothing.
        """
        path = self.folder / "alive" / run
        with self.ledger() as ledger:
            if ledger.is_running(run) or ledger.machines(run=run, open_only=True):
                return False
        path.unlink(missing_ok=True)
        return True

    def is_alive(self, run: str, *, now: datetime | None = None) -> bool:
        """Whether the run's process is alive, or `keep_until` set a moment after *now*.

        Args:
            run: Identity of the run.
            now: Current time in UTC, by a trusted clock; None means the clock of this computer.
        """
        return self._seen(run, now) == "alive"

    def was_left(self, run: str, *, now: datetime | None = None) -> bool:
        """Whether the run was started here, is not alive, and was never settled."""
        return self._seen(run, now) == "dead"

    def touch(self, run: str) -> None:
        """Update the time of the run's file in `alive/` when it requests a machine: see `age`."""
        with suppress(OSError):
            os.utime(self.folder / "alive" / run)

    def age(self, run: str, *, now: datetime) -> timedelta:
        """How long before *now* the run began, or requested its last machine.

        It is the age of the run's file in `alive/`; zero without a file.
        """
        try:
            seen = (self.folder / "alive" / run).stat().st_mtime
        except OSError:
            return timedelta(0)
        return now - datetime.fromtimestamp(seen, UTC)

    def forget(self, run: str) -> None:
        """Remove the file of a run that is not alive; a second call changes nothing."""
        if self.was_left(run):
            (self.folder / "alive" / run).unlink(missing_ok=True)

    def unfinished(self) -> tuple[str, ...]:
        """Identities of the runs that are not alive and have not been settled, sorted.

        It reads one folder, which is fast when there are none.
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
            if not os.fstat(descriptor).st_nlink:  # the run was settled meanwhile
                return "settled"
            kept = os.read(descriptor, 100).decode("ascii", "replace").partition(" ")[0]
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
            f"cannot write to the state folder, {where}: {error.strerror or error}; make the "
            f"folder writable, or set {STATE_VARIABLE} to another one"
        )
