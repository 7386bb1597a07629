"""Load plugins from entry points, report the broken ones, and open a plugin by name."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import pluggy

from materia import hookspecs
from materia._dataclass import dataclass
from materia._entry_points import (
    PROJECTS,
    EntryPoint,
    Project,
    find_entry_points,
    projects_of,
)
from materia.errors import MissingSecretError, PluginError
from materia.hookspecs import Opening, Plugin
from materia.kit.once import Once, unkept
from materia.text import suggestion

if TYPE_CHECKING:
    from materia.protocols import Provider, Sink, Source

GROUP = "materia"
MARK = "materia_impl"  # what @hookimpl leaves on a function
Kind = Literal["provider", "source", "sink"]
KINDS: tuple[Kind, ...] = ("provider", "source", "sink")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPlugin(Generic[T]):
    """A declared plugin, with its module and distribution."""

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


def _no_hint(_name: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All plugins and SQLMesh projects of this environment, sorted by name.

    Attributes:
        found: The plugins that could be loaded.
        failures: Entry points that could not be loaded.
        how_to_install: Function from a name that is not installed to a hint for the message.
        projects: The SQLMesh projects.
    """

    found: tuple[InstalledPlugin[Any], ...]
    failures: tuple[Failure, ...]
    how_to_install: Callable[[str], str] = field(default=_no_hint, repr=False, compare=False)
    projects: tuple[Project, ...] = ()

    def of_kind(self, kind: Kind) -> tuple[InstalledPlugin[Any], ...]:
        """The plugins of one kind, including those that share a name."""
        return tuple(found for found in self.found if found.kind == kind)

    def default(self, kind: Kind) -> str:
        """Name of the default plugin of one kind; empty when there is none, or more than one."""
        names = {found.plugin.name for found in self.of_kind(kind) if found.plugin.default}
        return names.pop() if len(names) == 1 else ""

    def get(self, kind: Kind, name: str) -> InstalledPlugin[Any]:
        """The plugin of one kind and name.

        Raises:
            PluginError: it is not installed, it cannot be loaded, or two plugins have that name.
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
        if not name:
            raise PluginError(
                f"materia.toml names no {kind}, and no installed {kind} is the default: "
                f"set {kind} in materia.toml; installed: {', '.join(names) or 'none'}"
            )
        raise PluginError(
            f"unknown {kind} {name!r}{suggestion(name, names)}; "
            f"installed: {', '.join(names) or 'none'}{self.how_to_install(name)}"
        )

    def provider(self, name: str) -> InstalledPlugin[Provider]:
        """The provider plugin of that name; raises PluginError."""
        return self.get("provider", name)

    def source(self, name: str) -> InstalledPlugin[Source]:
        """The source plugin of that name; raises PluginError."""
        return self.get("source", name)

    def sink(self, name: str) -> InstalledPlugin[Sink]:
        """The sink plugin of that name; raises PluginError."""
        return self.get("sink", name)


def load_plugins(
    found: Iterable[EntryPoint] | None = None,
    *,
    only: Collection[str] | None = None,
    how_to_install: Callable[[str], str] = _no_hint,
) -> Registry:
    """Load every plugin of the environment, or of the entry points in *found*.

    Args:
        found: Entry points to load; None means all of this environment.
        only: Names of the distributions whose plugins are loaded; None means all.
        how_to_install: Function from a name that is not installed to a hint for the message.
    """
    manager = pluggy.PluginManager("materia")
    manager.add_hookspecs(hookspecs)
    declared: list[InstalledPlugin[Any]] = []
    failures: list[Failure] = []
    points = [
        point
        for point in (find_entry_points(GROUP, PROJECTS) if found is None else found)
        if only is None or point.distribution in only
    ]
    plugins = (point for point in points if point.group == GROUP)
    for point in sorted(plugins, key=lambda point: (point.name, point.value)):
        try:
            with contextlib.redirect_stdout(sys.stderr):  # standard output may be materia's JSON
                declared += _declarations(manager, point)
        # A broken plugin must not stop the others, even when it raises SystemExit.
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- as above
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
    return Registry(
        found=tuple(declared),
        failures=tuple(failures),
        how_to_install=how_to_install,
        projects=projects_of(point for point in points if point.group == PROJECTS),
    )


def _declarations(manager: pluggy.PluginManager, point: EntryPoint) -> list[InstalledPlugin[Any]]:
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
                    InstalledPlugin(
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
    """Refuse a module with a misspelt hook, which would never be called, or with no hook.

    Raises:
        PluginError: the module has such a hook, or none; the message suggests the right name.
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
        raise PluginError(f"the module has no hook: mark one of {', '.join(known)} with @hookimpl")


def take_secrets(found: InstalledPlugin[Any], environment: Mapping[str, str]) -> dict[str, str]:
    """The values in *environment* of the variables that a plugin declared.

    Raises:
        MissingSecretError: some of the variables are not set.
    """
    missing = tuple(name for name in found.plugin.secrets if not environment.get(name))
    if missing:
        raise MissingSecretError(found.plugin.name, missing)
    return {name: environment[name] for name in found.plugin.secrets}


def open_plugin(
    found: InstalledPlugin[T],
    environment: Mapping[str, str],
    *,
    settings: Mapping[str, object],
    directory: Path,
    once: Once | None = None,
) -> T:
    """Open a plugin with the values in *environment* of the variables that it declared.

    With the cache *once* it asks its service the same question once.

    Raises:
        MissingSecretError: some of the variables are not set.
    """
    opening = Opening(
        secrets=take_secrets(found, environment),
        settings=settings,
        directory=directory,
        once=once or unkept(),
    )
    return found.plugin.open(opening)
