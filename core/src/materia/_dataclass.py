"""Dataclasses that are made in a third of the time, for classes that short commands need.

`dataclasses` compiles six functions for each frozen class, a third of `materia plan`. Here only
`__init__` is compiled; the others are closures. Type checkers see the standard decorator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]


def quick_dataclass(*, frozen: bool = False, **options: bool) -> Callable[[type], type]:
    """The decorator `dataclasses.dataclass`; a frozen class lets each field be set once."""
    usual = dataclasses.dataclass(frozen=frozen, **options)
    # Without slots, a field with a default looks as if it were set already.
    if not frozen or not options.get("slots") or not options.keys() <= {"slots", "kw_only"}:
        return usual

    def made(cls: type) -> type:
        if any(map(dataclasses.is_dataclass, cls.__bases__)):
            return usual(cls)
        new: Any = dataclasses.dataclass(repr=False, eq=False, **options)(cls)
        new.__dataclass_params__.frozen = True  # so that a frozen class can be derived from it
        for name, method in _methods(new).items():
            if vars(cls).get(name) is None:  # `__hash__` is None where a class has an `__eq__`
                setattr(new, name, method)
        return new  # type: ignore[no-any-return]

    return made


def _methods(new: Any) -> dict[str, Callable[..., Any]]:
    """What `dataclasses` compiles for a frozen class."""
    fields = {field.name: field for field in dataclasses.fields(new)}
    compared = [name for name, field in fields.items() if field.compare]
    values: Any = attrgetter(*compared) if compared else type  # without fields all are equal

    @recursive_repr()
    def text(self: Any) -> str:
        inside = [f"{name}={getattr(self, name)!r}" for name, one in fields.items() if one.repr]
        return f"{type(self).__qualname__}({', '.join(inside)})"

    def equal(self: Any, other: object) -> Any:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def set_once(self: Any, name: str, value: object) -> None:
        if hasattr(self, name) if name in fields else type(self) is new:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def delete(self: Any, name: str) -> None:
        if name in fields or type(self) is new:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)

    def set_state(self: Any, state: list[Any]) -> None:
        for one, value in zip(dataclasses.fields(self), state, strict=True):
            object.__setattr__(self, one.name, value)

    return {
        "__repr__": text,
        "__eq__": equal,
        "__hash__": lambda self: hash(values(self)),
        "__setattr__": set_once,
        "__delattr__": delete,
        "__getstate__": lambda self: [getattr(self, one.name) for one in dataclasses.fields(self)],
        "__setstate__": set_state,
    }


if not TYPE_CHECKING:
    dataclass = quick_dataclass
else:
    from dataclasses import dataclass
