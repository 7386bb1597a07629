"""Which computers sweep, in the bucket: `sweeps/PIPELINE.json`, a moment for each computer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from materia.errors import ArtifactError
from materia.forms import Form

from materia_runner.codec import MalformedError, decode, parse, plain

if TYPE_CHECKING:
    from materia_runner.artifact.bucket import ArtifactBucket

FORMAT = 1
FOLDER = "sweeps"
LONGEST = 1 << 16  # bytes
FRESH = timedelta(hours=2)
KEPT = 16  # computers; each job of CI may be a new one
TRIES = 5

_HOST = Form("the name of a computer", re.compile(".*"), 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeps:
    """When computers swept last.

    Attributes:
        hosts: End of the last sweep of each computer, in UTC, by its name.
    """

    hosts: Mapping[Annotated[str, _HOST], datetime] = field(default_factory=dict)


def after_sweep(before: Sweeps, *, host: str, now: datetime) -> Sweeps:
    """The sweeps after one that *host* ended *now*; the newest computers are kept."""
    hosts = {**before.hosts, host: now}
    newest = sorted(hosts, key=lambda one: (hosts[one], one), reverse=True)[:KEPT]
    return Sweeps(hosts={one: hosts[one] for one in newest})


def sweeps_elsewhere(sweeps: Sweeps, *, host: str, now: datetime) -> bool:
    """Whether another computer than *host* has swept in the last two hours."""
    return any(name != host and abs(now - at) < FRESH for name, at in sweeps.hosts.items())


def read_sweeps(bucket: ArtifactBucket, pipeline: str) -> Sweeps:
    """The sweeps in the bucket; a damaged object counts as none.

    Raises:
        ArtifactError: the bucket cannot be read.
    """
    return _read(bucket, pipeline)[0]


def write_sweep(bucket: ArtifactBucket, pipeline: str, *, host: str) -> None:
    """Note that *host* has swept; what another computer notes meanwhile stays.

    Raises:
        ArtifactError: the bucket cannot be read or written.
    """
    now = datetime.now(UTC)
    for _ in range(TRIES):
        before, etag = _read(bucket, pipeline)
        after = after_sweep(before, host=host, now=now)
        text = json.dumps({"format": FORMAT, **plain(after)}, indent=1) + "\n"
        if bucket.swap(_path(pipeline), text.encode(), etag, longest=LONGEST):
            return
    raise ArtifactError(f"cannot write {bucket}/{_path(pipeline)}: others go on writing it")


def _read(bucket: ArtifactBucket, pipeline: str) -> tuple[Sweeps, str | None]:
    content, etag = bucket.read(_path(pipeline), longest=LONGEST)
    if content is None:
        return Sweeps(), None
    try:
        values = parse(content.decode())
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            return Sweeps(), etag
        found: Sweeps = decode(Sweeps, values)
    except (UnicodeDecodeError, MalformedError):
        return Sweeps(), etag
    return found, etag


def _path(pipeline: str) -> str:
    return f"{FOLDER}/{pipeline}.json"
