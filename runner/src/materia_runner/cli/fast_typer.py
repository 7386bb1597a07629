"""Faster start-up: Typer commands that parse plain options without importing pydantic.

Typer validates the value of every option with pydantic, even of an option that was not given, and
the import takes longer than the rest of a short command. The classes here accept plainly valid
values, and leave all others to Typer, which reports the error. The annotations of the command's
own function define how its options are parsed.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from materia._dataclass import dataclass
from typer.core import TyperCommand, TyperGroup

_LEFT = object()
# typer.core has no names for the types of a parameter, a context and a value.
Parameter = Any


class Command(TyperCommand):
    """A command that parses plain options itself."""

    def get_params(self, ctx: Any) -> Any:
        """Parameters of the command, `--help` included, each with the fast parser."""
        return _shortened(super().get_params(ctx), self.callback)


class Group(TyperGroup):
    """A group of commands that parses its own plain options itself."""

    def get_params(self, ctx: Any) -> Any:
        """Parameters of the group, `--help` included, each with the fast parser."""
        return _shortened(super().get_params(ctx), self.callback)


def command_app(
    name: str,
    function: Callable[..., None],
    *,
    epilog: str | None = None,
    cls: type[Command] = Command,
) -> typer.Typer:
    """A Typer application of one command."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=cls, epilog=epilog)(function)
    return app


def group_app(name: str, *, help: str, epilog: str | None = None) -> typer.Typer:  # noqa: A002 -- as Typer calls it
    """A Typer application for a group; add commands and a callback to it."""
    return typer.Typer(
        name=name,
        cls=Group,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,  # importing rich would take longer than printing plain help
        help=help,
        epilog=epilog,
    )


def _shortened(params: list[Parameter], function: Callable[..., Any] | None) -> list[Parameter]:
    new = [param for param in params if "process_value" not in vars(param)]
    if new:
        own = inspect.unwrap(function) if function else None
        hints = get_type_hints(own, include_extras=True) if own else {}
        for param in new:
            # Typer's own options, such as --help, have no annotation in the function.
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
    """Parses the words of one option into its value.

    Attributes:
        kind: Type of one value.
        many: Whether the option takes several, as a list.
        info: The `typer.Option` or `typer.Argument` of the annotation.
        default: The value when the option is not given.
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
        """The value, or _LEFT when Typer has to parse it."""
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
