"""Open a plugin and check it: a missing method, another signature, a slow import.

The protocols are checked here, when the plugin is opened, because a method is otherwise missed in
the middle of a stage, on a machine that is paid for.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from materia import plugins, protocols
from materia.errors import PluginError

if TYPE_CHECKING:
    from materia.kit.once import Once
    from materia.plugins import InstalledPlugin, Kind

T = TypeVar("T")
PAGE = "docs/plugins.md"
PROTOCOLS: Mapping[Kind, type] = {
    "provider": protocols.Provider,
    "source": protocols.Source,
    "sink": protocols.Sink,
}
OPTIONAL: Mapping[Kind, type | None] = {
    "provider": protocols.HasClock,
    "source": None,
    "sink": protocols.HasHistory,
}
# Processor time of the thread that opens a plugin. The slowest SDK of ours takes under two.
SLOW_SECONDS = 5.0
LOG = "materia.plugins"


def open_plugin(
    found: InstalledPlugin[T],
    environment: Mapping[str, str],
    *,
    settings: Mapping[str, object],
    directory: Path,
    once: Once | None = None,
) -> T:
    """As `materia.plugins.open_plugin`, with the check of what it opens.

    Warns in the log when that took more than 5 s of processor time.

    Raises:
        PluginError: the object lacks methods of its protocol, or they take other arguments; the
            message has every one of them.
        MissingSecretError: some of its variables are not set.
    """
    started = time.thread_time()
    opened = plugins.open_plugin(
        found, environment, settings=settings, directory=directory, once=once
    )
    if (seconds := time.thread_time() - started) > SLOW_SECONDS:
        import logging

        logging.getLogger(LOG).warning(
            "the %s %r took %.0f s of processor time to open: %s %s imports or does too much there",
            *(found.kind, found.plugin.name, seconds, found.distribution, found.version),
        )
    if faults := list(faults_of(opened, found.kind)):
        raise PluginError(
            f"the {found.kind} {found.plugin.name!r} of {found.distribution} {found.version} "
            f"cannot be used: {'; '.join(faults)}. Install a version that fits this materia; its "
            f"author finds the methods in {PAGE}"
        )
    return opened


def faults_of(opened: object, kind: Kind) -> Iterator[str]:
    """Each method of the protocol of *kind* that *opened* lacks or that takes other arguments."""
    if inspect.isclass(opened):
        yield f"open returned the class {opened.__name__}, not an object of it"
        return
    for name, declared in _methods(PROTOCOLS[kind]):
        method = getattr(opened, name, None)
        if not callable(method):
            yield f"it has no method {_call(name, declared)}"
        else:
            yield from _other_arguments(name, declared, method)
    more = OPTIONAL[kind]
    if more is not None and isinstance(opened, more):
        for name, declared in _methods(more):
            yield from _other_arguments(name, declared, getattr(opened, name))


def _methods(protocol: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(protocol).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            yield name, value


def _other_arguments(name: str, declared: Any, method: Any) -> Iterator[str]:
    """A sentence when *method* cannot be called as the protocol's method *declared*."""
    if inspect.iscoroutinefunction(method):
        yield f"{name} is async, and materia calls it without await"
        return
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # compiled, or a callable without a signature
        return
    placed, named = _arguments(declared)
    try:
        signature.bind(*placed, **dict.fromkeys(named))
    except TypeError:
        parameters = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
        taken = signature.replace(parameters=parameters, return_annotation=signature.empty)
        yield f"{name}{taken} does not take {_call(name, declared)}"


def _arguments(declared: Any) -> tuple[list[str], list[str]]:
    """The names of the arguments that are given by place, and of those given by name."""
    _, *parameters = inspect.signature(declared).parameters.values()
    named = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    return [one.name for one in parameters if one.name not in named], named


def _call(name: str, declared: Any) -> str:
    """The call of a method as materia makes it: `wait_for_ssh(instance, timeout=...)`."""
    placed, named = _arguments(declared)
    return f"{name}({', '.join([*placed, *(f'{one}=...' for one in named)])})"
