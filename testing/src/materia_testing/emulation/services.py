"""Find the installed emulators: entry points of the group `materia.emulators`."""

from __future__ import annotations

from collections.abc import Mapping

from materia._entry_points import EntryPoint, find_entry_points
from materia.errors import PluginError

from materia_testing.emulation.service import Service

GROUP = "materia.emulators"


def find_services() -> Mapping[str, EntryPoint]:
    """The entry points of all emulators by provider name, without importing them."""
    points = sorted(find_entry_points(GROUP), key=lambda point: (point.name, point.value))
    return {point.name: point for point in points}


def load_service(point: EntryPoint) -> type[Service]:
    """The class that *point* names.

    Raises:
        ImportError: it needs a package of its extra `emulator` that is not installed.
        PluginError: it is not a service of that provider.
    """
    found = point.load()
    if not (isinstance(found, type) and issubclass(found, Service)):
        raise PluginError(
            f"{point.distribution}: the emulator {point.name!r} is not a subclass of "
            f"materia_testing.emulation.Service: {point.value}"
        )
    if found.provider != point.name:
        raise PluginError(
            f"{point.distribution}: the emulator {point.name!r} belongs to the provider "
            f"{found.provider!r}; give both the same name"
        )
    return found


def service_class(name: str) -> type[Service]:
    """The class of the service of that provider.

    Raises:
        KeyError: no emulator has that name.
        ImportError: it needs a package of its extra `emulator` that is not installed.
        PluginError: its entry point is not a service of that provider.
    """
    return load_service(find_services()[name])
