"""Copies of a pipeline's runs in the bucket: from them a new supervisor goes on.

A run's own process writes its copy, before each machine and after each stage. While it is alive it
writes again every two minutes, so a run whose copy is older than that by far is dead: then any
computer may destroy its machines, before their deadline.

A run may only have slept. So another computer writes a run's copy only in place of the very one
that it read, and a run whose copy another computer has written rents nothing more: each intent is
in the bucket as long as its machine may exist.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from materia.errors import ArtifactError, MateriaError
from materia.kit.files import write_whole

from materia_runner.codec import MalformedError
from materia_runner.ledger.plan_and_logs import LogCopy, logs_to_copy, plan_to_copy
from materia_runner.ledger.run_copy import LONGEST, RunCopy, decoded, encoded
from materia_runner.ledger.state import KEPT_RUNS, RUN
from materia_runner.schedule.copy_marks import CopyMarks

if TYPE_CHECKING:
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
TRIES = 5


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
        self._marks = CopyMarks(state.folder / "copies" / pipeline)
        self._lock = threading.Lock()

    def push(self, run: str, *, alive: bool) -> None:
        """Write the copy of *run*, which was started here, in place of an older one.

        A run whose copy is not complete in the bucket is marked here, for `push_left`.

        Args:
            run: Identity of a run that the ledger knows.
            alive: Whether this process carries it out.

        Raises:
            ArtifactError: the bucket cannot be written; or another computer has taken the run,
                which is alive, for dead.
            ConfigError: the state folder cannot be written.
            LedgerError: the ledger failed.
        """
        from materia_runner.artifact.bucket import TooLargeError

        with self._lock:  # an older copy must not replace a newer one
            self._marks.mark(run)
            for _ in range(TRIES):
                copy = self._copy(run, alive_at=datetime.now(UTC) if alive else None)
                if not alive:
                    self._overwrite(run, copy)
                    break
                try:
                    before, etag = self._bucket.read(self._path(run), longest=LONGEST)
                except TooLargeError:  # no computer can use it
                    self._overwrite(run, copy)
                    break
                self._refuse_taken_for_dead(run, before)
                if self._bucket.swap(self._path(run), encoded(copy), etag, longest=LONGEST):
                    break
            else:
                raise ArtifactError(
                    f"cannot write {self._bucket}/{self._path(run)}: others go on writing it"
                )
            if copy.is_settled:
                self._marks.remove(run)

    def _overwrite(self, run: str, copy: RunCopy) -> None:
        try:
            self._bucket.write(self._path(run), encoded(copy))
        except FileNotFoundError as error:
            reason = self._bucket.reason(error)
            raise ArtifactError(f"cannot write to {self._bucket}{reason}") from error

    def _refuse_taken_for_dead(self, run: str, content: bytes | None) -> None:
        """Refuse to go on with a living run whose copy another computer has written.

        Raises:
            ArtifactError: one has.
        """
        if content is None:
            return
        with suppress(MalformedError):  # a damaged copy is replaced
            if decoded(content, run=run).alive_at is None:
                raise ArtifactError(
                    f"another computer took {run} for dead, as its signs of life in "
                    f"{self._bucket} had ended for {LIFE // timedelta(minutes=1)} minutes (this "
                    "computer slept, or could not reach it), and destroyed its machines; run again"
                )

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

        That of another computer's run is only replaced when it is still the one that the ledger
        here was read from; else the newer one is read. A second call writes those again whose
        machines may still exist.

        Raises:
            ArtifactError: the bucket cannot be read or written.
            ConfigError: the state folder cannot be written.
            LedgerError: the ledger failed.
        """
        for run in self._marks.every():
            if not self._ledger.knows(run):
                self._marks.remove(run)
            elif not self._state.is_alive(run):
                with self._marks.held():
                    etag, copy = self._marks.read_from(run), self._copy(run, alive_at=None)
                if etag is None:
                    self.push(run, alive=False)
                else:
                    self._push_for_another(run, copy, etag)

    def _push_for_another(self, run: str, copy: RunCopy, etag: str) -> None:
        """Write the copy of another computer's run if the one in the bucket has this ETag."""
        from materia_runner.artifact.bucket import TooLargeError

        path, content = self._path(run), encoded(copy)
        with suppress(MalformedError, TooLargeError):  # `restore` names a damaged copy
            written = bool(etag) and self._bucket.swap(path, content, etag, longest=LONGEST)
            if not written:
                now, now_etag = self._bucket.read(path, longest=LONGEST)
                if now is not None:  # its run goes on, or another computer was faster
                    newer = decoded(now, run=run)
                    self._keep(newer, now_etag, datetime.now(UTC), shown=True)
                    return
                written = self._bucket.swap(path, content, None, longest=LONGEST)
            if written and copy.is_settled:
                self._marks.remove(run)

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
        for place, run in enumerate(runs[:NEWEST]):
            if len(run) > LONGEST_NAME or not self._is_wanted(run):
                continue
            try:
                content, etag = self._bucket.read(self._path(run), longest=LONGEST)
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
            self._keep(copy, etag, now, shown=place < KEPT_RUNS)
            restored.append(run)
        return Restored(runs=tuple(restored), problems=tuple(problems))

    def _is_wanted(self, run: str) -> bool:
        """Whether the copy may have something new about *run*."""
        if not self._ledger.knows(run):
            return True
        return self._state.is_elsewhere(run)

    def _keep(self, copy: RunCopy, etag: str | None, now: datetime, *, shown: bool) -> None:
        """Write a copy into the ledger here, and its plan and logs if they are *shown*."""
        run = copy.run.run
        with self._marks.held():
            began = self._state.was_left(run)
            # Not with a ledger that was lost here: the run was started here, and is dead.
            elsewhere = not began or self._state.is_elsewhere(run)
            if not copy.is_settled:
                self._marks.mark(run)
                if elsewhere:
                    # Killed between these lines, the mark has no ETag.
                    self._marks.mark_elsewhere(run)
                    self._state.keep_elsewhere(run, _alive_until(copy, now))
            self._ledger.replace_run(copy if shown else replace(copy, plan=None))
            if not copy.is_settled and elsewhere:
                self._marks.mark_elsewhere(run, etag or "")
        if copy.is_settled:
            self._marks.remove(run)
            self._state.settle(run)
        for log in copy.logs if shown else ():
            self._state.run_folder(run)
            file = self._state.log_file(run, log.stage, log.attempt)
            with suppress(OSError):  # a full disk: the ledger has the rest
                if elsewhere or not file.exists():
                    write_whole(file, log.text, mode=0o600)

    def _copy(self, run: str, *, alive_at: datetime | None) -> RunCopy:
        logs = logs_to_copy(
            self._ledger.stages(run),
            lambda row: self._state.log_file(run, row.stage, row.attempt),
        )
        return copy_of(self._ledger, run, alive_at=alive_at, logs=logs)

    def _path(self, run: str) -> str:
        return f"{self._folder}/{run}.json"


def copy_of(
    ledger: Ledger, run: str, *, alive_at: datetime | None, logs: tuple[LogCopy, ...] = ()
) -> RunCopy:
    """The copy of a run that *ledger* knows, with these *logs*.

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
        plan=plan_to_copy(ledger.plan(run)),
        logs=logs,
    )


def _alive_until(copy: RunCopy, now: datetime) -> datetime:
    """Until when the run of a copy counts as alive."""
    if copy.run.ended_at is not None or copy.alive_at is None:
        return now
    return min(copy.alive_at, now) + LIFE
