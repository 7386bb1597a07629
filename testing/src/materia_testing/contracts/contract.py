"""Base class of contracts: an inherited test cannot be dropped without a written reason.

A contract is a class of pytest tests that a plugin's own test class inherits. Overriding one of its
tests, or setting it to None, is allowed only with a written reason:

    class TestAcme(ProviderContract):
        @deviation("Acme has no volumes, so there is nothing to list")
        def test_attached_things_are_listed_with_their_instance(self) -> None: ...

Without the reason Python cannot create the class, so pytest cannot collect its module.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., object])
GUIDE = "docs/plugins.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise of a plugin, which one test of a contract holds it to.

    Attributes:
        sentence: The promise.
        cause: What a plugin that breaks it usually does; empty when the assertion says it all.
        page: The section of the guide that explains it.
    """

    sentence: str
    cause: str
    page: str

    def note(self) -> str:
        """The lines that a failed assertion ends with."""
        cause = [f"usual cause: {self.cause}"] if self.cause else []
        return "\n".join([f"promise: {self.sentence}", *cause, f"page: {self.page}"])


def promise_of(cls: type[Contract], name: str) -> Promise:
    """The promise that the test *name* of a contract is about."""
    words = inspect.getdoc(getattr(cls, name, None)) or ""
    return Promise(
        sentence=name.removeprefix("test_").replace("_", " "),
        cause=" ".join(words.split()),
        page=f"{GUIDE}#{cls.section}",
    )


def _noting(cls: type[Contract], name: str, test: Callable[..., object]) -> Callable[..., object]:
    """*test*, whose failure also has its promise, the usual cause and the page."""

    @functools.wraps(test)
    def noting(*arguments: Any, **named: Any) -> object:
        __tracebackhide__ = True
        try:
            return test(*arguments, **named)
        except pytest.skip.Exception:
            raise
        except (Exception, pytest.fail.Exception) as error:
            error.add_note(promise_of(cls, name).note())
            raise

    return noting


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

    section: ClassVar[str] = "hold-it-to-its-contract"
    """The section of the guide about what it tests."""

    def __init_subclass__(cls, **options: object) -> None:
        """Refuse a class that drops or replaces an inherited test without a reason."""
        super().__init_subclass__(**options)
        if cls.__module__.startswith("materia_testing."):
            for name, test in [*vars(cls).items()]:
                if name.startswith("test_") and inspect.isfunction(test):
                    setattr(cls, name, _noting(cls, name, test))
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
