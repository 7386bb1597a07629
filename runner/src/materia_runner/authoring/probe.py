"""Load a plugin's modules in a process of their own: how long that takes, and what they declare.

python -m materia_runner.authoring.probe materia_acme
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from materia import plugins
from materia._entry_points import EntryPoint
from materia.errors import MateriaError
from materia.hookspecs import Opening

from materia_runner.opening import faults_of

SECRET = "a made-up secret"  # noqa: S105 -- it opens nothing


def main(modules: list[str]) -> None:
    """Print what *modules* declare, as JSON; the modules of core are loaded already."""
    before = set(sys.modules)
    out, sys.stdout = sys.stdout, sys.stderr
    started = time.thread_time()
    points = [
        EntryPoint(name=one, value=one, group="materia", distribution="", version="")
        for one in modules
    ]
    registry = plugins.load_plugins(points)
    seconds = time.thread_time() - started
    brought = {name.split(".")[0] for name in set(sys.modules) - before}
    found = {
        "seconds": seconds,
        "brought": sorted(brought - sys.stdlib_module_names - set(modules)),
        "errors": [failure.error for failure in registry.failures],
        "plugins": [_opened(one) for one in registry.found],
    }
    print(json.dumps(found), file=out)


def _opened(found: plugins.InstalledPlugin[Any]) -> dict[str, object]:
    """The plugin, and what its object lacks; `unopened` says why it could not be opened here."""
    plugin, unopened, faults = found.plugin, "", []
    with tempfile.TemporaryDirectory() as folder:
        opening = Opening(
            secrets=dict.fromkeys(plugin.secrets, SECRET),
            settings={setting.name: setting.default for setting in plugin.settings},
            directory=Path(folder),
        )
        try:
            faults = list(faults_of(plugin.open(opening), found.kind))
        except MateriaError as error:
            unopened = str(error)
        except Exception as error:  # noqa: BLE001 -- a fault of the plugin, and reported as one
            faults = [f"open raised {type(error).__name__}: {error}"]
    return {
        "kind": found.kind,
        "name": plugin.name,
        "module": found.module,
        "secrets": plugin.secrets,
        "faults": faults,
        "unopened": unopened,
    }


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1:])
