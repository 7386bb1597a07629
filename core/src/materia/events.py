"""What happens in a run, one JSON object a line: a worker says it on its standard output.

What becomes of the machines, and what they cost so far, the runner adds by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from materia.secrets import redact_all

Unit = Literal["partitions", "bytes", "models"]
Level = Literal["info", "warning"]
MachineState = Literal["asked", "created", "ready", "gone", "refused"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A line that a stage, or something it runs, wrote to standard error; kept in the log.

    Attributes:
        text: The line without its end.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine has come to a new state of its life; said by the runner.

    Attributes:
        name: Of the instance.
        state: `asked` before the provider is asked for it, then `created`, `ready` when it answers
            over SSH, and `gone` when the provider no longer lists it; `refused` when there is none.
        provider: Who rents it out.
        place: Its zone or region, in the provider's words.
        instance_type: In the provider's words.
        hourly: Price of one hour, as exact text in *currency*; `0` for a machine of one's own.
        cost: When it is gone, what it cost, as exact text in *currency*; else empty.
        currency: ISO 4217 code of the offer's prices.
    """

    name: str
    state: MachineState
    provider: str
    place: str
    instance_type: str
    hourly: str
    currency: str
    cost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What all machines of the run cost up to now; said by the runner when it has changed.

    Attributes:
        amount: As exact text.
        currency: ISO 4217 code of the currency that costs are shown in.
    """

    amount: str
    currency: str


Event = Progress | Log | Result | Failed | Output | Machine | Spent
Observe = Callable[[str, Event], None]
_KINDS: dict[str, type[Event]] = {
    "progress": Progress,
    "log": Log,
    "result": Result,
    "failed": Failed,
    "output": Output,
    "machine": Machine,
    "spent": Spent,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(event: Event) -> str:
    """The event as one line without its end."""
    return json.dumps({"event": _NAMES[type(event)], **asdict(event)})


def without(event: Event, secrets: Iterable[str]) -> Event:
    """The event with *secrets* hidden in all its text."""
    if isinstance(event, Log | Result | Failed | Output):  # the others have no words of a plugin
        return type(event)(**redact_all(asdict(event), secrets))
    return event


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
