"""Open a plugin as materia does, in this process or in another."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from materia.hookspecs import Opening, Plugin
from materia.plugins import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A plugin's declaration with the settings and secrets to open it; picklable.

    Attributes:
        kind: `source` or `sink`.
        module: The module of its entry point, for example `materia_acme`.
        name: The name that the user types.
        directory: Where relative paths in the settings start.
        settings: Settings that differ from their defaults.
        secrets: A value for every declared variable.
    """

    kind: Kind
    module: str
    name: str
    directory: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def plugin(self) -> Plugin[Any]:
        """The plugin's declaration."""
        module = importlib.import_module(self.module)
        plugins = {plugin.name: plugin for plugin in getattr(module, f"materia_{self.kind}s")()}
        assert self.name in plugins, f"{self.module} declares {sorted(plugins)}, not {self.name!r}"
        found = plugins[self.name]
        assert isinstance(found, Plugin)
        return found

    def open(self) -> Any:
        """A new provider, source or sink."""
        plugin = self.plugin()
        settings = {setting.name: setting.default for setting in plugin.settings}
        unknown = set(self.settings) - set(settings)
        assert not unknown, f"{self.name} has no settings {sorted(unknown)}"
        secrets = {name: self.secrets[name] for name in plugin.secrets}
        return plugin.open(
            Opening(
                secrets=secrets, settings={**settings, **self.settings}, directory=self.directory
            )
        )
