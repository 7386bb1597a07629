"""Commands that understand plain options themselves.

Typer validates every option with pydantic, also one that nobody gave; importing that takes longer
than all the rest of a short command. What is plainly right is taken as it is, and everything else
is left to Typer, which says what is wrong with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

_LEFT = object()


class Command(TyperCommand):
    """A command whose options are those of this module."""

    def get_params(self, ctx: Any) -> Any:
        """As of Typer, which makes the options and takes no class for them."""
        return _quick(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands whose own options are those of this module."""

    def get_params(self, ctx: Any) -> Any:
        """As of a command."""
        return _quick(super().get_params(ctx))


def _quick(params: Any) -> Any:
    for param in params:
        if type(param) is TyperOption:
            param.__class__ = _Option
    return params


class _Option(TyperOption):
    def process_value(self, ctx: Any, value: Any) -> Any:
        taken = _LEFT if self.required else self._taken(value)
        if taken is _LEFT:
            return super().process_value(ctx, value)
        return taken if self.callback is None else self.callback(ctx, self, taken)

    def _taken(self, value: Any) -> Any:
        """The value of the option, or _LEFT when that is Typer's to say."""
        if not self.multiple:
            return None if value is None else self._one(value)
        if value is None:
            return ()
        if isinstance(value, str):  # from an environment variable that is split
            return _LEFT
        taken = [self._one(item) for item in value]
        return _LEFT if _LEFT in taken else taken

    def _one(self, value: Any) -> Any:
        found = getattr(self, "type_descriptor", None)  # Typer may call it otherwise one day
        if found is None or not isinstance(value, str) or not value:
            return value if isinstance(value, int) and value == self.default else _LEFT
        if found.parameter_info.parser is not None:
            return found.parameter_info.parser(value)
        kind = found.annotation.__args__[0] if found.is_list else found.annotation
        return _LEFT if found.is_choice or found.is_file else _plain(kind, value, found)


def _plain(kind: Any, text: str, found: Any) -> Any:
    if kind is str:
        return text
    if kind is Path and os.access(text, os.R_OK):
        return Path(text)
    least, most = found.parameter_info.min, found.parameter_info.max
    if kind is int and most is None and len(text) < 10 and text.isascii() and text.isdecimal():
        return int(text) if least is None or int(text) >= least else _LEFT
    return _LEFT
