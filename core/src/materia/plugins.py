"""Find plugins, keep the broken ones apart, open the ones that are asked for."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import pluggy

from materia import hookspecs
from materia._entry_points import EntryPoint, find_entry_points
from materia.errors import MissingSecretError, PluginError
from materia.hookspecs import Opening, Plugin
from materia.kit.once import Once, unkept
from materia.text import suggestion

if TYPE_CHECKING:
    from materia.protocols import Provider, Sink, Source

GROUP = "materia"
MARK = "materia_impl"  # what @hookimpl leaves on a function
# Distributions of this workspace: all that is left under --no-plugins.
BUNDLED = frozenset(
    {
        "materia-duckdb",
        "materia-hetzner",
        "materia-iceberg",
        "materia-local",
        "materia-oracle",
        "materia-ovh",
        "materia-psdonline",
        "materia-s3",
        "materia-scaleway",
    }
)
Kind = Literal["provider", "source", "sink"]
KINDS: tuple[Kind, ...] = ("provider", "source", "sink")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """A declared plugin and where it comes from."""

    kind: Kind
    plugin: Plugin[T]
    module: str
    distribution: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An entry point that could not be loaded; it never stops the others."""

    name: str
    module: str
    distribution: str
    version: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All plugins of this environment, in the order of their names."""

    found: tuple[Found[Any], ...]
    failures: tuple[Failure, ...]

    def of_kind(self, kind: Kind) -> tuple[Found[Any], ...]:
        """The plugins of one kind, those that share a name included."""
        return tuple(found for found in self.found if found.kind == kind)

    def get(self, kind: Kind, name: str) -> Found[Any]:
        """The plugin of that name.

        Raises:
            PluginError: it is not installed, broken, or there are two of that name.
        """
        same = [found for found in self.of_kind(kind) if found.plugin.name == name]
        if len(same) == 1:
            return same[0]
        if same:
            modules = " and ".join(found.module for found in same)
            raise PluginError(f"two plugins declare the {kind} {name!r}: {modules}; uninstall one")
        for failure in self.failures:
            if failure.name == name:
                raise PluginError(
                    f"the {kind} {name!r} cannot be loaded from {failure.module}: {failure.error}"
                )
        names = sorted({found.plugin.name for found in self.of_kind(kind)})
        raise PluginError(
            f"unknown {kind} {name!r}{suggestion(name, names)}; "
            f"installed: {', '.join(names) or 'none'}{_how_to_install(kind, name)}"
        )

    def provider(self, name: str) -> Found[Provider]:
        """As `get`."""
        return self.get("provider", name)

    def source(self, name: str) -> Found[Source]:
        """As `get`."""
        return self.get("source", name)

    def sink(self, name: str) -> Found[Sink]:
        """As `get`."""
        return self.get("sink", name)


def load_plugins(
    found: Iterable[EntryPoint] | None = None, *, bundled_only: bool = False
) -> Registry:
    """Load every plugin of the environment, or of the entry points in *found*."""
    manager = pluggy.PluginManager("materia")
    manager.add_hookspecs(hookspecs)
    declared: list[Found[Any]] = []
    failures: list[Failure] = []
    points = find_entry_points(GROUP) if found is None else found
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        if bundled_only and point.distribution not in BUNDLED:
            continue
        try:
            with contextlib.redirect_stdout(sys.stderr):  # standard output may be JSON of ours
                declared += _declarations(manager, point)
        # Any fault of a plugin is that plugin's alone, even that it wants to end the program.
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- as said
            failures.append(
                Failure(
                    name=point.name,
                    module=point.module,
                    distribution=point.distribution,
                    version=point.version,
                    error=f"{type(error).__name__}: {error}",
                )
            )
    declared.sort(key=lambda found: (KINDS.index(found.kind), found.plugin.name, found.module))
    return Registry(found=tuple(declared), failures=tuple(failures))


def _declarations(manager: pluggy.PluginManager, point: EntryPoint) -> list[Found[Any]]:
    module = point.load()
    _check_hooks(module)
    name = f"{point.distribution}:{point.value}"
    manager.register(module, name)
    try:
        hooks = [hook.name for hook in manager.get_hookcallers(module) or ()]
        declared = []
        for kind in KINDS:
            if (hook := f"materia_{kind}s") not in hooks:
                continue
            for plugin in getattr(module, hook)():
                if not isinstance(plugin, Plugin):
                    raise TypeError(f"{hook} returned {plugin!r}, which is not a materia.Plugin")
                declared.append(
                    Found(
                        kind=kind,
                        plugin=plugin,
                        module=point.module,
                        distribution=point.distribution,
                        version=point.version,
                    )
                )
    finally:
        manager.unregister(name=name)
    return declared


def _check_hooks(module: Any) -> None:
    """Refuse hooks that would be silently dead: misspelt ones, and none at all.

    Raises:
        PluginError: with the hook that was probably meant.
    """
    known = [f"materia_{kind}s" for kind in KINDS]
    names = vars(module) if isinstance(module, ModuleType) else dir(module)
    marked = sorted(
        name
        for name in names
        if isinstance(value := getattr(module, name, None), FunctionType | MethodType)
        and hasattr(value, MARK)
    )
    for name in marked:
        if name not in known:
            raise PluginError(
                f"unknown hook {name!r}{suggestion(name, known)}; hooks: {', '.join(known)}"
            )
    if not marked:
        raise PluginError(f"it marks none of {', '.join(known)} with @hookimpl")


def take_secrets(found: Found[Any], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a plugin declared, from *environment*.

    Raises:
        MissingSecretError: some of them are not set.
    """
    missing = tuple(name for name in found.plugin.secrets if not environment.get(name))
    if missing:
        raise MissingSecretError(found.plugin.name, missing)
    return {name: environment[name] for name in found.plugin.secrets}


def open_plugin(
    found: Found[T],
    environment: Mapping[str, str],
    *,
    settings: Mapping[str, object],
    directory: Path,
    once: Once | None = None,
) -> T:
    """Open a plugin with the variables it declared, taken from *environment*.

    With *once* it asks its service the same thing once.

    Raises:
        MissingSecretError: some of them are not set.
    """
    opening = Opening(
        secrets=take_secrets(found, environment),
        settings=settings,
        directory=directory,
        once=once or unkept(),
    )
    return found.plugin.open(opening)


def _how_to_install(kind: Kind, name: str) -> str:
    """For a provider or sink of ours that is not here: it is an extra."""
    if kind == "source" or f"materia-{name}" not in BUNDLED:
        return ""
    return f"; it comes with materia-{name}, in a clone: uv sync --extra {name}"
