"""Status of a pipeline: its last run and its last good run, in the bucket or in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from materia.errors import ArtifactError

from materia_runner.codec import MalformedError, decode, parse, plain
from materia_runner.figures import moment_text

if TYPE_CHECKING:
    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.ledger.rows import RunRow

FORMAT = 1
FOLDER = "status"
LONGEST = 1 << 16  # bytes
SKEW = timedelta(minutes=10)  # between the clocks of two computers
TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """How the runs of a pipeline end.

    Attributes:
        host: Name of the machine that started the last run.
        ended_at: When the last run ended, in UTC.
        exit_code: Its exit code.
        good_at: When the last run that succeeded ended, in UTC, or None.
    """

    host: str
    ended_at: datetime
    exit_code: int
    good_at: datetime | None


def after_run(before: RunStatus | None, *, host: str, now: datetime, code: int) -> RunStatus:
    """The status after a run that ended with *code*."""
    good = now if code == 0 else (before.good_at if before else None)
    return RunStatus(host=host, ended_at=now, exit_code=code, good_at=good)


def problem_of(
    status: RunStatus | None, *, pipeline: str, oldest: timedelta, now: datetime
) -> str | None:
    """Why the last good run of *pipeline* is not good enough, as a sentence; None when it is."""
    if status is None:
        return f"no run of {pipeline} is known; run `materia run`, or check the schedule"
    last = (
        f"the last run ended {_at(status.ended_at)} on {status.host} with exit code "
        f"{status.exit_code}"
    )
    if status.good_at is None:
        return f"no run of {pipeline} has succeeded: {last}"
    if status.good_at - now > SKEW:
        return (
            f"the last good run of {pipeline} ended {_at(status.good_at)}, which is in the future: "
            f"set the clock of {status.host} or of this machine"
        )
    if now - status.good_at > oldest:
        hours = (now - status.good_at) // timedelta(hours=1)
        return f"the last good run of {pipeline} ended {_at(status.good_at)}, {hours} h ago; {last}"
    return None


def _at(moment: datetime) -> str:
    return f"{moment_text(moment)} UTC"


def status_of_rows(rows: Iterable[RunRow], *, directory: str) -> RunStatus | None:
    """The status by the ledger of this machine: of the runs of the pipeline in *directory*."""
    ended = [
        row
        for row in rows
        if row.ended_at is not None
        and row.directory == directory
        and row.source  # else it is a rollback or a manual worker
        and not row.sample
    ]
    if not ended:
        return None
    last = max(ended, key=lambda row: (row.ended_at, row.run))
    good = [row.ended_at for row in ended if row.state == "ok" and row.ended_at is not None]
    assert last.ended_at is not None  # noqa: S101 -- as above
    return RunStatus(
        host=last.host,
        ended_at=last.ended_at,
        exit_code=0 if last.state == "ok" else 1,
        good_at=max(good, default=None),
    )


def read_status(bucket: ArtifactBucket, pipeline: str) -> RunStatus | None:
    """The status in the bucket; None when no run has written one.

    Raises:
        ArtifactError: the bucket cannot be read, or the status is damaged.
    """
    path = _path(pipeline)
    content, _ = bucket.read(path, longest=LONGEST)
    try:
        return None if content is None else _decoded(content)
    except MalformedError as error:
        raise ArtifactError(
            f"{bucket}/{path} is damaged: {error}; delete it: the next run writes it"
        ) from error


def _decoded(content: bytes) -> RunStatus:
    try:
        values = parse(content.decode())
    except UnicodeDecodeError as error:
        raise MalformedError(str(error)) from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise MalformedError("its format is unknown")
    status: RunStatus = decode(RunStatus, values)
    return status


def write_status(bucket: ArtifactBucket, pipeline: str, *, host: str, code: int) -> None:
    """Write how a run ended; the good run that another computer notes meanwhile stays known.

    Raises:
        ArtifactError: the bucket cannot be read or written.
    """
    path, now = _path(pipeline), datetime.now(UTC)
    for _ in range(TRIES):
        content, etag = bucket.read(path, longest=LONGEST)
        before = None
        with suppress(MalformedError):  # damaged: begin again
            before = None if content is None else _decoded(content)
        status = after_run(before, host=host, now=now, code=code)
        text = json.dumps({"format": FORMAT, **plain(status)}, indent=1) + "\n"
        if bucket.swap(path, text.encode(), etag, longest=LONGEST):
            return
    raise ArtifactError(f"cannot write {bucket}/{path}: others go on writing it")


def _path(pipeline: str) -> str:
    return f"{FOLDER}/{pipeline}.json"
