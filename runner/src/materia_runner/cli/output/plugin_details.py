"""Describe a source or sink with its settings, for `materia sources` and `materia sinks`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from materia.plugins import InstalledPlugin

    from materia_runner.config.pipeline import Pipeline


def described(found: InstalledPlugin[Any], pipeline: Pipeline) -> dict[str, Any]:
    """A plugin with its current settings, without values of secrets."""
    plugin = found.plugin
    values = pipeline.settings.get((found.kind, plugin.name))  # missing when declared twice
    used = pipeline.sources if found.kind == "source" else (pipeline.sink,)
    return {
        "name": plugin.name,
        "summary": plugin.summary,
        "in_use": plugin.name in used and values is not None,
        "distribution": found.distribution,
        "version": found.version,
        "secrets": list(plugin.secrets),
        "declared_twice": values is None,
        "settings": [
            {
                "name": setting.name,
                "value": setting.default if values is None else values[setting.name],
                "default": setting.default,
                "help": setting.help,
            }
            for setting in plugin.settings
        ],
    }


def as_text(description: Mapping[str, Any]) -> list[str]:
    """Render the description as lines of text."""
    used = "  (in use)" if description["in_use"] else ""
    twice = "  (declared twice, unusable)" if description["declared_twice"] else ""
    lines = [f"{description['name']}{used}{twice}: {description['summary']}"]
    lines.append(f"  from {description['distribution']} {description['version']}")
    if description["secrets"]:
        lines.append(f"  needs the secrets {', '.join(description['secrets'])}")
    for setting in description["settings"]:
        value = setting["value"]
        shown = "not set" if value is None else repr(value)
        lines += [f"  {setting['name']} = {shown}", f"      {setting['help']}"]
    return lines
