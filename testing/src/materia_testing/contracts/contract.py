"""Base class of contracts: an inherited test cannot be dropped without a written reason.

A contract is a class of pytest tests that a plugin's own test class inherits. Overriding one of its
tests, or setting it to None, is allowed only with a written reason:

    class TestAcme(ProviderContract):
        @deviation("Acme has no volumes, so there is nothing to list")
        def test_attached_things_are_listed_with_their_instance(self) -> None: ...

Without the reason Python cannot create the class, so pytest cannot collect its module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def deviation(reason: str) -> Callable[[F], F]:
    """Mark a test that replaces one of a contract, with the reason.

    Raises:
        ValueError: *reason* is empty.
    """
    if not reason.strip():
        raise ValueError("a deviation from a contract needs a reason")

    def mark(test: F) -> F:
        vars(test)["__deviation__"] = reason
        return test

    return mark


class Contract:
    """The base class of every contract; checks that subclasses keep the inherited tests."""

    def __init_subclass__(cls, **options: object) -> None:
        """Refuse a class that drops or replaces an inherited test without a reason."""
        super().__init_subclass__(**options)
        for name in filter(lambda name: name.startswith("test_"), dir(cls)):
            first, *others = (vars(parent) for parent in cls.__mro__ if name in vars(parent))
            # A base class outside of the contract can come first and hide the contract's tests.
            if others and not getattr(first[name], "__deviation__", ""):
                raise TypeError(
                    f"{cls.__qualname__}.{name} replaces a test of its contract without a reason; "
                    f"mark it with @deviation('why') or remove it"
                )

    @classmethod
    def deviations(cls) -> dict[str, str]:
        """The reason of every replaced test, by its name."""
        found = {name: getattr(getattr(cls, name), "__deviation__", "") for name in dir(cls)}
        return {name: reason for name, reason in found.items() if reason}
