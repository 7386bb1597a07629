"""A quick dataclass does what one of the standard library does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from decimal import Decimal
from typing import Any

import pytest
from materia._dataclass import dataclass


def declared(decorator: Any) -> type[Any]:
    @decorator(frozen=True, slots=True, kw_only=True)
    class Ware:
        """Something to sell."""

        name: str
        price: Decimal = Decimal(1)
        tags: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
        length: int = field(init=False)

        def __post_init__(self) -> None:
            if not self.name:
                raise ValueError("a ware has a name")
            object.__setattr__(self, "length", len(self.name))

    return Ware


Quick, Usual = declared(dataclass), declared(dataclasses.dataclass)


@dataclass(frozen=True, slots=True)
class Pair:
    """Can be pickled, since the module has it."""

    first: int
    second: int = 2


@dataclass(frozen=True, slots=True)
class Nothing:
    """Without fields."""


def outcome(call: Callable[[], object]) -> object:
    """What a call gives, or the error that it raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 -- compared with another
        return type(error), str(error)


CALLS: dict[str, Callable[[type[Any]], object]] = {
    "text": lambda kind: repr(kind(name="x")),
    "equal": lambda kind: kind(name="x") == kind(name="x", tags={"y": 1}),
    "differs": lambda kind: kind(name="x") == kind(name="y"),
    "other kinds": lambda kind: kind(name="x") in ("x", 1, None, Pair(1)),
    "hash": lambda kind: hash(kind(name="x")) == hash(("x", Decimal(1), 1)),
    "in a set": lambda kind: len({kind(name="x"), kind(name="x", tags={"y": 1})}),
    "assigned": lambda kind: setattr(kind(name="x"), "name", "y"),
    "assigned elsewhere": lambda kind: type(outcome(lambda: setattr(kind(name="x"), "z", 1))),
    "deleted": lambda kind: delattr(kind(name="x"), "name"),
    "refused": lambda kind: kind(name=""),
    "replaced": lambda kind: repr(replace(kind(name="x"), name="yz")),
    "copied": lambda kind: copy.copy(kind(name="x")) == kind(name="x"),
    "copied deeply": lambda kind: copy.deepcopy(kind(name="x")) == kind(name="x"),
    "fields": lambda kind: [one.name for one in dataclasses.fields(kind)],
    "values": lambda kind: dataclasses.asdict(kind(name="x", tags={"y": 1})),
    "slots": lambda kind: (kind.__slots__, hasattr(kind(name="x"), "__dict__")),
    "matched": lambda kind: kind.__match_args__,
    "frozen": lambda kind: kind.__dataclass_params__.frozen,
    "described": lambda kind: (kind.__doc__, kind.__name__, kind.__module__),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_it_does_what_one_of_the_standard_library_does(call: Callable[[type], object]) -> None:
    assert outcome(lambda: call(Quick)) == outcome(lambda: call(Usual))


def test_it_is_pickled_and_printed_and_has_order_when_that_is_asked_for() -> None:
    assert pickle.loads(pickle.dumps(Pair(1))) == Pair(1)  # noqa: S301 -- made here
    assert repr(Pair(1)) == "Pair(first=1, second=2)"
    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing()}) == 1

    @dataclass(frozen=True, slots=True, order=True)
    class Number:
        of: int

    assert Number(1) < Number(2)


def test_methods_of_the_class_itself_are_kept() -> None:
    @dataclass(frozen=True, slots=True)
    class Hidden:
        secret: str

        def __repr__(self) -> str:
            return "Hidden()"

        def __hash__(self) -> int:
            return 7

    assert repr(Hidden("x")) == "Hidden()"
    assert hash(Hidden("x")) == 7
    assert Hidden("x") == Hidden("x") != Hidden("y")


@pytest.mark.parametrize("decorator", [dataclass, dataclasses.dataclass], ids=["quick", "usual"])
def test_a_frozen_class_can_be_derived_from_it(decorator: Any) -> None:
    @decorator(frozen=True, slots=True)
    class Triple(Pair):
        third: int = 3

    made = Triple(1)

    assert repr(made).endswith("Triple(first=1, second=2, third=3)")
    assert made == Triple(1) != Pair(1)
    for name in ("first", "third"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, name, 0)


@dataclass(frozen=True, slots=True)
class Holder:
    """May hold itself."""

    held: list[object]


class More(Pair):
    """Has attributes beside the fields."""


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_pickles_the_list_of_its_values(protocol: int) -> None:
    made = Pair(1)

    assert pickle.loads(pickle.dumps(made, protocol)) == made  # noqa: S301 -- made here
    assert made.__reduce_ex__(protocol)[2] == [1, 2]  # as of one of the standard library


def test_one_that_holds_itself_is_printed() -> None:
    held: list[object] = []
    held.append(Holder(held))

    assert repr(held[0]) == "Holder(held=[...])"


def test_a_class_with_an_equality_of_its_own_has_a_hash() -> None:
    def declared(decorator: Any) -> type[Any]:
        class Alike:  # noqa: PLW1641 -- the decorator adds it
            of: int

            def __eq__(self, other: object) -> bool:
                return type(other) is type(self)

        return decorator(frozen=True, slots=True)(Alike)  # type: ignore[no-any-return]

    quick, usual = declared(dataclass), declared(dataclasses.dataclass)
    assert quick(1) == quick(2)
    assert usual(1) == usual(2)
    assert len({quick(1), quick(1)}) == len({usual(1), usual(1)}) == 1


def test_a_class_derived_from_it_may_change_its_own_attributes() -> None:
    made = More(1)

    for value in (1, 2):
        made.note = value  # type: ignore[attr-defined]
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.first = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.first

    assert (made.note, made.first) == (2, 1)  # type: ignore[attr-defined]
    del made.note  # type: ignore[attr-defined]
    assert not hasattr(made, "note")


def test_without_slots_a_field_may_have_a_default() -> None:
    @dataclass(frozen=True)
    class Loose:
        of: int = 1

    assert Loose(2).of == 2
