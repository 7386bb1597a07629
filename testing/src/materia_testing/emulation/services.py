"""All emulated services by the names of their providers, imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from materia_testing.emulation.service import Service

SERVICES: Mapping[str, str] = {
    "hetzner": "Hetzner",
    "oracle": "Oracle",
    "ovh": "Ovh",
    "scaleway": "Scaleway",
}


def service_class(name: str) -> type[Service]:
    """The class of the service of that provider.

    Raises:
        KeyError: there is no such service.
        ImportError: it needs a package of its extra `emulator` that is not installed.
    """
    module = importlib.import_module(f"materia_{name}.emulator.service")
    found: type[Service] = getattr(module, SERVICES[name])
    return found
