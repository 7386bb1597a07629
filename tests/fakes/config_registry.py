"""A registry of made-up plugins, one of them broken, for tests of the configuration."""

from __future__ import annotations

from materia import Plugin, Setting
from materia.plugins import Failure, InstalledPlugin, Kind, Registry
from materia_runner.bundled import how_to_install

SETTINGS = (
    Setting(name="folder", kind="text", default="in", help="Text."),
    Setting(name="note", kind="text", default="", help="Text that may be empty."),
    Setting(name="threads", kind="number", default=4, help="A number."),
    Setting(name="strict", kind="yes_no", default=False, help="Yes or no."),
    Setting(name="names", kind="texts", default=("a",), help="Several."),
)


def plugin(kind: Kind, name: str, *, default: bool = False) -> InstalledPlugin[object]:
    return InstalledPlugin(
        kind=kind,
        plugin=Plugin(
            name=name, summary="", open=lambda _: object(), settings=SETTINGS, default=default
        ),
        module=f"acme.{name}",
        distribution=f"materia-{name}",
        version="1.2",
    )


REGISTRY = Registry(
    found=(
        plugin("provider", "local", default=True),
        plugin("provider", "other"),
        plugin("source", "acme", default=True),
        plugin("sink", "duckdb", default=True),
        plugin("sink", "twin"),
        plugin("sink", "twin"),
    ),
    failures=(
        Failure(
            name="broken",
            module="acme.broken",
            distribution="materia-broken",
            version="1.2",
            error="ImportError: no module named 'acme_sdk'",
        ),
    ),
    how_to_install=how_to_install,
)
