"""Answers of a service with one thing in them changed: missing, of another kind, or impossible."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from materia_testing.emulation import Fault
from materia_testing.emulation.exchange import Answer, Request
from materia_testing.emulation.service import Service

MISSING = "<missing>"
# Nothing here is a price, a size or a name that could be true.
VALUES: tuple[Any, ...] = (
    MISSING,
    None,
    "",
    "odd\x1b[31m",
    -1,
    0,
    10**30,
    1e-12,
    float("nan"),
    True,
    [],
    [None],
    {},
    {"odd": 1},
)
Path = tuple[str | int, ...]
FIRST = 2  # of each list, and of each map from names to entries


@dataclass(frozen=True, slots=True)
class Oddity:
    """One change in what a service answers.

    Attributes:
        asked: Path of the request whose answer is changed.
        where: In its body.
        value: What is there then.
    """

    asked: str
    where: Path
    value: Any

    @property
    def in_an_entry(self) -> bool:
        """Whether it is inside one of several entries, and not about the list as a whole."""
        by_name = self.where[:1] == ("servers",) and len(self.where) > 1  # as Scaleway has types
        return by_name or any(isinstance(step, int) for step in self.where)

    def befall(self, service: Service) -> None:
        """Have the service answer so from now on."""

        def alter(_: Request, answer: Answer) -> Answer:
            return replace(answer, body=changed(answer.body, self.where, self.value))

        service.faults.clear()
        service.faults.next("*", self.asked, Fault(alter=alter), times=None)


def oddities(bodies: Mapping[str, Any]) -> Iterator[Oddity]:
    """Every value of the list in every place of every body."""
    for asked, body in bodies.items():
        for where in places(body):
            for value in VALUES:
                yield Oddity(asked, where, value)


def places(body: Any, before: Path = ()) -> Iterator[Path]:
    """Where something is in *body*; of lists, and of maps of many entries, the first ones."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(body, dict):
        many = len(body) > FIRST and all(isinstance(one, dict) for one in body.values())
        inner = list(body.items())[: FIRST if many else None]
    elif isinstance(body, list):
        inner = list(enumerate(body[:FIRST]))
    for key, value in inner:
        yield (*before, key)
        yield from places(value, (*before, key))


def changed(body: Any, where: Path, value: Any) -> Any:
    """A copy of *body* with *value* there; as it is where the body has no such place."""
    result = copy.deepcopy(body)
    inner = result
    try:
        for step in where[:-1]:
            inner = inner[step]
        if value == MISSING:
            del inner[where[-1]]
        else:
            inner[where[-1]] = value
    except (KeyError, IndexError, TypeError):
        return body
    return result


def answers(service: Service) -> dict[str, Any]:
    """What the service answers from now on, by path, filled as it is asked."""
    bodies: dict[str, Any] = {}

    def keep(request: Request, answer: Answer) -> Answer:
        if answer.status == 200:
            bodies.setdefault(request.path, answer.body)
        return answer

    service.faults.next("*", "*", Fault(alter=keep), times=None)
    return bodies
