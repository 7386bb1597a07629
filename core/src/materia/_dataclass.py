"""Dataclasses that are made in a third of the time, for classes that short commands need.

`dataclasses` compiles six functions for each frozen class, which was a third of `materia plan`.
Here only `__init__` is compiled, and the others are closures. Type checkers see the decorator of
the standard library.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]


def quick_dataclass(*, frozen: bool = False, **options: bool) -> Callable[[type], type]:
    """The decorator `dataclasses.dataclass`; a frozen class lets each field be set once."""
    usual = dataclasses.dataclass(frozen=frozen, **options)
    if not frozen or "order" in options:
        return usual

    def made(cls: type) -> type:
        if any(map(dataclasses.is_dataclass, cls.__bases__)):
            return usual(cls)
        new: Any = dataclasses.dataclass(repr=False, eq=False, **options)(cls)
        new.__dataclass_params__.frozen = True  # so that a frozen class can be derived from it
        for name, method in _methods(dataclasses.fields(new)).items():
            if name not in vars(cls):
                setattr(new, name, method)
        return new  # type: ignore[no-any-return]

    return made


def _methods(fields: Sequence[dataclasses.Field[Any]]) -> dict[str, Callable[..., Any]]:
    """What `dataclasses` compiles for a frozen class with these fields."""
    printed = [field.name for field in fields if field.repr]
    compared = [field.name for field in fields if field.compare]
    values: Any = attrgetter(*compared) if compared else type  # without fields all are equal

    def text(self: Any) -> str:
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in printed)
        return f"{type(self).__qualname__}({inside})"

    def is_equal(self: Any, other: object) -> Any:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    return {
        "__repr__": text,
        "__eq__": is_equal,
        "__hash__": lambda self: hash(values(self)),
        "__setattr__": _set_once,
        "__delattr__": _keep,
    }


def _set_once(self: object, name: str, value: object) -> None:
    if hasattr(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _keep(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


if not TYPE_CHECKING:
    dataclass = quick_dataclass
else:
    from dataclasses import dataclass
