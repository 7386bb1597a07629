"""All emulated services by the names of their providers, imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from materia.testing.cloud.service import Service

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
        ImportError: it needs a package of `materia-core[testing]` that is not installed.
    """
    module = importlib.import_module(f"materia.testing.cloud.{name}")
    found: type[Service] = getattr(module, SERVICES[name])
    return found
