"""Typer commands that read plain options themselves: Typer's way imports pydantic, which is slow.

Typer validates the value of every option with pydantic, also of one that nobody gave; importing it
takes longer than all the rest of a short command. What is plainly right is taken as it is, and
everything else is left to Typer, which says what is wrong with it. How an option is to be read
stands in the annotation of the command's own function.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

_LEFT = object()
# What click and Typer call a parameter, a context, a value: typer.core has no names for them.
Parameter = Any


class Command(TyperCommand):
    """A command that reads plain options itself."""

    def get_params(self, ctx: Any) -> Any:
        """As click does, `--help` included."""
        return _shortened(super().get_params(ctx), self.callback)


class Group(TyperGroup):
    """A group of commands that reads its own plain options itself."""

    def get_params(self, ctx: Any) -> Any:
        """As of a command."""
        return _shortened(super().get_params(ctx), self.callback)


def command_app(
    name: str,
    function: Callable[..., None],
    *,
    epilog: str | None = None,
    cls: type[Command] = Command,
) -> typer.Typer:
    """The application that is one command."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=cls, epilog=epilog)(function)
    return app


def group_app(name: str, *, help: str, epilog: str | None = None) -> typer.Typer:  # noqa: A002 -- as Typer calls it
    """The application that is a group; commands and a callback are added to it."""
    return typer.Typer(
        name=name,
        cls=Group,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,  # the plain help is on the screen before rich would be imported
        help=help,
        epilog=epilog,
    )


def _shortened(params: list[Parameter], function: Callable[..., Any] | None) -> list[Parameter]:
    new = [param for param in params if "process_value" not in vars(param)]
    if new:
        own = inspect.unwrap(function) if function else None
        hints = get_type_hints(own, include_extras=True) if own else {}
        for param in new:
            # Options of Typer's own, such as --help, are in no annotation of ours.
            hint = hints.get(param.name, Annotated[object, None])
            _shorten(param, _Reader.of(hint, param.default))
    return params


def _shorten(param: Parameter, reader: _Reader) -> None:
    """Put *reader* before `process_value`, click's documented step from a word to a value."""
    whole = param.process_value

    def process_value(ctx: Any, value: Any) -> Any:
        taken = _LEFT if param.required and value is None else reader.read(value)
        if taken is _LEFT:
            return whole(ctx, value)
        return taken if param.callback is None else param.callback(ctx, param, taken)

    param.process_value = process_value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """How the words of an option become its value.

    Attributes:
        kind: Type of one value.
        many: Whether the option takes several, as a list.
        info: What `typer.Option` or `typer.Argument` was given.
        default: The value when it is not given.
    """

    kind: Any
    many: bool
    info: Any
    default: Any

    @classmethod
    def of(cls, hint: Any, default: Any) -> _Reader:
        kind, info = get_args(hint)
        kind = next((one for one in get_args(kind) if one is not type(None)), kind)
        many = get_origin(kind) is list
        return cls(kind=get_args(kind)[0] if many else kind, many=many, info=info, default=default)

    def read(self, value: Any) -> Any:
        """The value, or _LEFT when that is Typer's to say."""
        if not self.many:
            return None if value is None else self._one(value)
        if value is None:
            return ()
        if isinstance(value, str):  # from an environment variable that is split
            return _LEFT
        taken = [self._one(item) for item in value]
        return _LEFT if _LEFT in taken else taken

    def _one(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value if type(value) is self.kind and value == self.default else _LEFT
        if not value or self.info is None:
            return _LEFT
        return self._plain(value) if self.info.parser is None else self.info.parser(value)

    def _plain(self, text: str) -> Any:
        if self.kind is str:
            return text
        if self.kind is Path and os.access(text, os.R_OK):
            return Path(text)
        digits = len(text) < 10 and text.isascii() and text.isdecimal()
        if self.kind is int and digits and self.info.max is None:
            least = self.info.min
            return int(text) if least is None or int(text) >= least else _LEFT
        return _LEFT
