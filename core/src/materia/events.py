"""What a worker says while it runs a stage: one JSON object a line, on its standard output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from materia.secrets import redact_all

Unit = Literal["partitions", "bytes", "models"]
Level = Literal["info", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a phase has come.

    Attributes:
        phase: What is being done, for example `fetch` or `load`.
        done: How many units are behind.
        total: How many there are in all, or None when that is not known.
        unit: What is counted.
    """

    phase: str
    done: int
    total: int | None
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A sentence for people."""

    level: Level
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The stage is done; the last event of a worker that succeeded.

    Attributes:
        values: What it did, ready for JSON.
    """

    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The stage failed; the last event of a worker that did not succeed.

    Attributes:
        kind: Name of the error's class.
        message: The error's sentence.
        expected: Whether materia raised it on purpose.
    """

    kind: str
    message: str
    expected: bool


Event = Progress | Log | Result | Failed
Observe = Callable[[str, Event], None]
_KINDS: dict[str, type[Progress | Log | Result | Failed]] = {
    "progress": Progress,
    "log": Log,
    "result": Result,
    "failed": Failed,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(event: Event) -> str:
    """The event as one line without its end."""
    return json.dumps({"event": _NAMES[type(event)], **asdict(event)})


def decode(line: str, secrets: Iterable[str] = ()) -> Event:
    """The event in one line, with *secrets* hidden in all its text.

    Raises:
        ValueError: the line is not an event.
    """
    try:
        values = redact_all(json.loads(line), tuple(secrets))
        event: Event = _KINDS[values.pop("event")](**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an event: {line[:200]!r}") from error
    return event
