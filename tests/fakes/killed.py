"""Creates or destroys with a real provider, in a process of its own that a test kills.

Run as a script: what to do, the name of the provider, and a file with its settings and the request.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path

from materia.plugins import open_plugin
from materia.protocols import Provider
from materia_runner.bundled import load_registry


def opened(name: str, secrets: Mapping[str, str], settings: Mapping[str, object]) -> Provider:
    """The bundled provider of that name, as `materia run` opens it."""
    found = load_registry(bundled_only=True).provider(name)
    defaults = {setting.name: setting.default for setting in found.plugin.settings}
    return open_plugin(found, secrets, settings={**defaults, **settings}, directory=Path())


if __name__ == "__main__":
    doing, name, file = sys.argv[1:]
    settings, request = pickle.loads(Path(file).read_bytes())  # noqa: S301 -- the test wrote it
    provider = opened(name, os.environ, settings)
    if doing == "create":
        provider.create_instance(request)
    else:
        provider.destroy_instance(request)
