"""Copies of a pipeline's runs in the bucket: from them a new supervisor goes on.

A run's own process writes its copy, before each machine and after each stage. While it is alive it
writes again every two minutes, so a run whose copy is older than that by far is dead: then any
computer may destroy its machines, before their deadline.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from materia.errors import ArtifactError, ConfigError, MateriaError

from materia_runner.codec import MalformedError
from materia_runner.ledger.run_copy import LONGEST, RunCopy, decoded, encoded
from materia_runner.ledger.state import RUN

if TYPE_CHECKING:
    from pathlib import Path

    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.state import State

FOLDER = "ledger"
BEAT = timedelta(minutes=2)
# Ten minutes are for the clocks of two computers, and five for a bucket that is slow or away.
LIFE = timedelta(minutes=15)
NEWEST = 1000  # runs that a new supervisor reads
NEWEST_NOTES = 300  # of a run
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore found.

    Attributes:
        runs: Identities of the runs that were read from the bucket, newest first.
        problems: A sentence for each copy that cannot be used.
    """

    runs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class LedgerCopies:
    """The copies of one pipeline's runs, and the ledger here; usable from several threads."""

    def __init__(
        self, bucket: ArtifactBucket, pipeline: str, *, state: State, ledger: Ledger
    ) -> None:
        self._bucket = bucket
        self._folder = f"{FOLDER}/{pipeline}"
        self._state = state
        self._ledger = ledger
        self._unsent = state.folder / "copies" / pipeline
        self._lock = threading.Lock()

    def push(self, run: str, *, alive: bool) -> None:
        """Write the copy of *run*, in place of an older one.

        A run whose copy is not complete in the bucket is marked here, for `push_left`.

        Args:
            run: Identity of a run that the ledger knows.
            alive: Whether this process carries it out.

        Raises:
            ArtifactError: the bucket cannot be written.
            ConfigError: the state folder cannot be written.
            LedgerError: the ledger failed.
        """
        with self._lock:  # an older copy must not replace a newer one
            mark = self._marked(run)
            now = datetime.now(UTC)
            copy = copy_of(self._ledger, run, alive_at=now if alive else None)
            try:
                self._bucket.write(self._path(run), encoded(copy))
            except FileNotFoundError as error:
                reason = self._bucket.reason(error)
                raise ArtifactError(f"cannot write to {self._bucket}{reason}") from error
            if copy.is_settled:
                mark.unlink(missing_ok=True)

    @contextmanager
    def beating(
        self, run: str, *, every: timedelta = BEAT, failed: Callable[[MateriaError], None]
    ) -> Iterator[None]:
        """Write the copy of *run* again and again in this block, as a sign of life.

        Args:
            run: Identity of the run that this process carries out.
            every: Time from one copy to the next.
            failed: Called with the error of each copy that failed, in another thread.
        """
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(every.total_seconds()):
                try:
                    self.push(run, alive=True)
                except MateriaError as error:
                    failed(error)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def push_left(self) -> None:
        """Write the copies that are not complete yet, of runs that are over.

        A second call writes those again whose machines may still exist.

        Raises:
            ArtifactError: the bucket cannot be written.
            LedgerError: the ledger failed.
        """
        with suppress(FileNotFoundError):
            for mark in sorted(self._unsent.iterdir()):
                if not self._ledger.knows(mark.name):
                    mark.unlink(missing_ok=True)
                elif not self._state.is_alive(mark.name):
                    self.push(mark.name, alive=False)

    def restore(self, *, now: datetime) -> Restored:
        """Add the runs of other computers to the ledger here, and what is new of them.

        Runs that were started here, and runs that are over and known, stay as they are. A copy
        that cannot be used is left out.

        Args:
            now: Current time in UTC.

        Raises:
            ArtifactError: the bucket cannot be read.
            ConfigError: the state folder cannot be written.
            LedgerError: the ledger failed.
        """
        from materia_runner.artifact.bucket import TooLargeError

        name = re.compile(rf"{re.escape(self._folder)}/({RUN.pattern})\.json")
        found = (name.fullmatch(path) for path in self._bucket.listed(self._folder))
        runs = sorted((match[1] for match in found if match), reverse=True)
        restored, problems = [], []
        for run in runs[:NEWEST]:
            if len(run) > LONGEST_NAME or not self._is_wanted(run):
                continue
            try:
                content, _ = self._bucket.read(self._path(run), longest=LONGEST)
                if content is None:
                    continue
                copy = decoded(content, run=run)
            except TooLargeError as error:
                problems.append(f"{error} when the run is over; it is missing in the ledger here")
                continue
            except MalformedError as error:
                problems.append(
                    f"{self._bucket}/{self._path(run)} is damaged, and that run is missing in the "
                    f"ledger here: {error}; delete it when the run is over"
                )
                continue
            self._keep(copy, now)
            restored.append(run)
        return Restored(runs=tuple(restored), problems=tuple(problems))

    def _is_wanted(self, run: str) -> bool:
        """Whether the copy may have something new about *run*."""
        if not self._ledger.knows(run):
            return True
        return self._state.is_elsewhere(run)

    def _keep(self, copy: RunCopy, now: datetime) -> None:
        run, began = copy.run.run, self._state.was_left(copy.run.run)
        if not copy.is_settled:
            self._marked(run)
            # Not with a ledger that was lost here: the run was started here, and is dead.
            if not began or self._state.is_elsewhere(run):
                self._state.keep_elsewhere(run, _alive_until(copy, now))
        self._ledger.replace_run(copy)
        if copy.is_settled:
            self._state.settle(run)

    def _marked(self, run: str) -> Path:
        mark = self._unsent / run
        try:
            self._unsent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.touch(mode=0o600)
        except OSError as error:
            raise ConfigError(
                f"cannot write to the state folder, {mark}: {error.strerror or error}"
            ) from error
        return mark

    def _path(self, run: str) -> str:
        return f"{self._folder}/{run}.json"


def copy_of(ledger: Ledger, run: str, *, alive_at: datetime | None) -> RunCopy:
    """The copy of a run that *ledger* knows.

    Raises:
        ConfigError: the ledger does not know it.
        LedgerError: the ledger failed.
    """
    return RunCopy(
        run=ledger.run(run),
        machines=ledger.machines(run=run),
        stages=ledger.stages(run),
        notes=ledger.notes(run)[-NEWEST_NOTES:],
        alive_at=alive_at,
    )


def _alive_until(copy: RunCopy, now: datetime) -> datetime:
    """Until when the run of a copy counts as alive."""
    if copy.run.ended_at is not None or copy.alive_at is None:
        return now
    return min(copy.alive_at, now) + LIFE
