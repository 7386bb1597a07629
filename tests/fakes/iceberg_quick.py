"""The plugin `iceberg` with short waiting times, for tests."""

from __future__ import annotations

from dataclasses import replace

import materia_iceberg
from fakes.patience import PATIENCE
from materia import Opening, Plugin, Sink, hookimpl


def open_quick(opening: Opening) -> Sink:
    return materia_iceberg.open_iceberg(opening, PATIENCE)


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    return [replace(plugin, open=open_quick) for plugin in materia_iceberg.materia_sinks()]
