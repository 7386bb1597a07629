"""Events of a run, one JSON object per line, which a worker writes to its standard output.

The runner adds the events about machines and their cost.
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

Unit = Literal["partitions", "bytes", "models", "steps"]
Level = Literal["info", "warning"]
MachineState = Literal["asked", "created", "ready", "gone", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a phase.

    Attributes:
        phase: Name of the phase, for example `fetch` or `load`.
        done: Number of units done.
        total: Number of all units, or None when it is unknown.
        unit: Name of the unit.
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
    """The stage succeeded; the last event of its worker.

    Attributes:
        values: Result of the stage, ready for JSON.
    """

    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The stage failed; the last event of its worker.

    Attributes:
        kind: Name of the error's class.
        message: Message of the error.
        expected: Whether it is an error that materia raises on purpose, not a bug.
    """

    kind: str
    message: str
    expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A line that a stage, or a program it runs, wrote to standard error; goes into the log.

    Attributes:
        text: The line without its line end.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine has changed its state; an event of the runner.

    Attributes:
        name: Name of the instance.
        state: `asked` before the request to the provider, then `created`, `ready` when it answers
            over SSH, and `gone` when the provider no longer lists it; `refused` when the provider
            created none.
        provider: Name of the provider.
        place: The provider's name of its zone or region.
        instance_type: The provider's name of the instance type.
        hourly: Price of one hour, as exact text in *currency*; `0` for your own machine.
        cost: Cost once it is gone, as exact text in *currency*; otherwise empty.
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
    """Cost of all machines of the run so far; the runner sends it when it changes.

    Attributes:
        amount: Amount as exact text.
        currency: ISO 4217 code of the currency that costs are shown in.
    """

    amount: str
    currency: str


Event = Progress | Log | Result | Failed | Output | Machine | Spent
Said = Progress | Log | Result | Failed  # the events that a worker may send
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
    """The event as one line, without a line end."""
    if isinstance(event, Log | Failed):  # an SQL error may be longer than the runner accepts
        event = replace(event, message=event.message[: codec.LONGEST_TEXT])
    return json.dumps({"event": _NAMES[type(event)], **asdict(event)}).replace("\x7f", "\\u007f")


def without(event: Event, secrets: Iterable[str]) -> Event:
    """The event with *secrets* redacted from texts of plugins, and without control characters."""
    values = printable_all(asdict(event))
    if isinstance(event, Log | Result | Failed | Output):
        secrets = tuple(secrets)
        # Twice, because a removed control character may have split a secret.
        values = redact_all(printable_all(redact_all(asdict(event), secrets)), secrets)
    return type(event)(**values)


def is_said(line: str) -> bool:
    """Whether a line of a worker starts like an event."""
    return line.startswith(BEGINNING)


def decode(line: str, secrets: Iterable[str] = ()) -> Said:
    """Decode the event in one line of a worker, with *secrets* redacted.

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
        raise codec.MalformedError("a worker may not send an event of this kind")
    event: Said = codec.decode(_SAID[name], values)
    return event
