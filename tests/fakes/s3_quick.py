"""The plugin `s3` as it is declared, but for a test: it waits for no store longer than need be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import materia_s3
from materia import Opening, Plugin, Sink, hookimpl
from materia_store.object_store import Patience

# The store that refuses a second write to a name does so within that time, not within a second.
APART = timedelta(seconds=0.02)


PATIENCE = Patience(apart=APART, pause=timedelta(seconds=0.02))


def open_quick(opening: Opening) -> Sink:
    return materia_s3.open_s3(opening, PATIENCE)


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    return [replace(plugin, open=open_quick) for plugin in materia_s3.materia_sinks()]
