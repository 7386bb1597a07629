"""What happens in a run, one JSON object a line: a worker says it on its standard output.

What becomes of the machines, and what they cost so far, the runner adds by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from materia.forms import Count
from materia.printable import printable_all

from materia_runner import codec
from materia_runner.secrets.redaction import redact_all

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
    done: Count
    total: Count | None
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
Said = Progress | Log | Result | Failed  # by a worker; the rest is the runner's own to say
Observe = Callable[[str, Event], None]
_KINDS: dict[str, type[Event]] = {
    "progress": Progress,
    "log": Log,
    "result": Result,
    "failed": Failed,
    "output": Output,
    "instance": Machine,
    "spent": Spent,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_SAID: dict[str, type[Said]] = {
    "progress": Progress,
    "log": Log,
    "result": Result,
    "failed": Failed,
}
BEGINNING = '{"event": '  # as `encode` writes it


def encode(event: Event) -> str:
    """The event as one line without its end."""
    if isinstance(event, Log | Failed):  # a message of SQL may be longer than the far side takes
        event = replace(event, message=event.message[: codec.LONGEST_TEXT])
    return json.dumps({"event": _NAMES[type(event)], **asdict(event)}).replace("\x7f", "\\u007f")


def without(event: Event, secrets: Iterable[str]) -> Event:
    """The event with *secrets* hidden in what a plugin may have worded, and all of it printable."""
    values = printable_all(asdict(event))
    if isinstance(event, Log | Result | Failed | Output):
        secrets = tuple(secrets)
        # Twice, as what is taken out between may have stood in the middle of a secret.
        values = redact_all(printable_all(redact_all(asdict(event), secrets)), secrets)
    return type(event)(**values)


def is_said(line: str) -> bool:
    """Whether a worker means this line to be an event."""
    return line.startswith(BEGINNING)


def decode(line: str, secrets: Iterable[str] = ()) -> Said:
    """The event in one line of a worker, with *secrets* hidden in all its text.

    Raises:
        MalformedError: the line is not an event.
    """
    try:
        event = _said(codec.parse(line))
    except codec.MalformedError as error:
        raise codec.MalformedError(f"not an event: {error}") from error
    return type(event)(**redact_all(asdict(event), tuple(secrets)))


def _said(values: Any) -> Said:
    name = values.pop("event", None) if isinstance(values, dict) else None
    if not isinstance(name, str) or name not in _SAID:
        raise codec.MalformedError("it is of no kind that a worker may say")
    event: Said = codec.decode(_SAID[name], values)
    return event
