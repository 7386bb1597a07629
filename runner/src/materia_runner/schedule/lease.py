"""Lease of a pipeline in the bucket: only one computer at a time rents machines for it.

Each write is conditional on what was read, so of two computers that ask at once one gets it. A
lease ends by itself: when its run was killed, it is free after the last deadline of its machines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from materia.errors import ArtifactError, BusyError
from materia.forms import Form

from materia_runner.artifact.channel.conditions import check_conditions
from materia_runner.codec import MalformedError, decode, parse, plain
from materia_runner.figures import moment_text

if TYPE_CHECKING:
    from materia_runner.artifact.bucket import ArtifactBucket

FORMAT = 1
FOLDER = "leases"
LONGEST = 1 << 16  # bytes
SKEW = timedelta(minutes=10)  # between the clocks of two computers
TRIES = 5

_RUN = Form("the id of a run", re.compile("[0-9A-Za-z_-]+"), 100)
_HOST = Form("the name of a computer", re.compile("[0-9A-Za-z._-]*"), 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who rents machines for a pipeline now.

    Attributes:
        run: ID of the run.
        host: Name of the computer that it was started on, for people.
        until: When the lease ends by itself, in UTC.
        released: Whether the run has ended and given it back.
    """

    run: Annotated[str, _RUN]
    host: Annotated[str, _HOST]
    until: datetime
    released: bool = False


def blocks(
    lease: Lease, *, run: str, now: datetime, is_dead: Callable[[str], bool] = lambda _: False
) -> bool:
    """Whether *lease* keeps *run* from renting.

    Args:
        lease: The lease in the bucket.
        run: ID of the run that asks.
        now: The time here; the other computer's clock may be ten minutes off.
        is_dead: Whether a run was started on this computer and is no longer alive.
    """
    if lease.released or lease.run == run or now > lease.until + SKEW:
        return False
    return not is_dead(lease.run)


class LeaseKeeper:
    """The lease of one run."""

    def __init__(self, bucket: ArtifactBucket, pipeline: str, *, run: str, host: str) -> None:
        self._bucket = bucket
        self._path = f"{FOLDER}/{pipeline}.json"
        self._pipeline = pipeline
        self._run = run
        self._host = host if _HOST.fits(host) else ""
        self._checked = False

    def take(self, until: datetime, *, is_dead: Callable[[str], bool]) -> None:
        """Take the lease, or extend it to *until*.

        Raises:
            BusyError: another run has it.
            ArtifactError: the bucket cannot be used, or ignores conditions: then two computers
                could both take the lease.
        """
        if not self._checked:
            check_conditions(self._bucket)
            self._checked = True
        mine = Lease(run=self._run, host=self._host, until=until)
        for _ in range(TRIES):
            before, etag = self._read()
            if before is not None and blocks(
                before, run=self._run, now=datetime.now(UTC), is_dead=is_dead
            ):
                raise BusyError(self._sentence(before))
            if self._swap(mine, etag):
                return
        raise ArtifactError(f"cannot write {self._bucket}/{self._path}: others go on writing it")

    def release(self) -> None:
        """Give the lease back, if this run has it; a second call changes nothing.

        Raises:
            ArtifactError: the bucket cannot be used; the lease ends by itself later.
        """
        before, etag = self._read()
        if before is None or before.run != self._run or before.released:
            return
        now = datetime.now(UTC)
        self._swap(Lease(run=self._run, host=self._host, until=now, released=True), etag)

    def _read(self) -> tuple[Lease | None, str | None]:
        content, etag = self._bucket.read(self._path, longest=LONGEST)
        return (None if content is None else self._decoded(content)), etag

    def _decoded(self, content: bytes) -> Lease:
        try:
            values = parse(content.decode())
            found = values.pop("format", None) if isinstance(values, dict) else None
            if found == FORMAT:
                lease: Lease = decode(Lease, values)
                return lease
            problem = "its format is unknown"
        except (UnicodeDecodeError, MalformedError) as error:
            problem = str(error)
        raise ArtifactError(
            f"{self._bucket}/{self._path} is damaged: {problem}; delete it when no other computer "
            f"runs {self._pipeline}"
        )

    def _swap(self, lease: Lease, etag: str | None) -> bool:
        text = (json.dumps({"format": FORMAT, **plain(lease)}, indent=1) + "\n").encode()
        return self._bucket.swap(self._path, text, etag, longest=LONGEST)

    def _sentence(self, lease: Lease) -> str:
        return (
            f"another run of {self._pipeline} may rent machines now: {lease.run}"
            f"{f' on {lease.host}' if lease.host else ''}, until "
            f"{moment_text(lease.until)} UTC; nothing was rented. If that "
            f"computer is gone for good, delete {self._bucket}/{self._path}, and run "
            "`materia sweep` after that time"
        )
