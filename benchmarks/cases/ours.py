"""materia: fetch what is new in a folder, load it into history, publish the file. No models."""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from materia.data import FetchRequest, LoadRequest, PartitionsRequest, PublishRequest
from materia.hookspecs import Opening
from materia.plugins import InstalledPlugin
from materia_runner.bundled import load_registry

T = TypeVar("T")
SOURCE = "psdonline"


def opened(found: InstalledPlugin[T], directory: Path, **changed: object) -> T:
    """The plugin, opened with its defaults but for what is *changed*."""
    settings = {setting.name: setting.default for setting in found.plugin.settings}
    return found.plugin.open(
        Opening(secrets={}, settings={**settings, **changed}, directory=directory)
    )


def main(mirror: str, directory: str) -> None:
    """Bring *directory* up to date with *mirror*, as the two stages of a run do."""
    registry, home = load_registry(bundled_only=True), Path(directory)
    source = opened(registry.source(SOURCE), home, base_url=Path(mirror).resolve().as_uri())
    sink = opened(registry.sink("duckdb"), home)
    known, now = sink.known(SOURCE), datetime.now(UTC)
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        for partition in source.partitions(PartitionsRequest(known=known, now=now)):
            request = FetchRequest(
                partition=partition, known=known.get(partition.key), directory=Path(scratch)
            )
            sink.record(SOURCE, partition, source.fetch(request))
        files = tuple(one.raw for _, one in sorted(sink.known(SOURCE).items()) if one.raw)
        # As the transform stage decides: the same contents as published mean nothing to do.
        fingerprint = " ".join(raw.content for raw in files)
        if sink.fingerprint() == fingerprint:
            return
        database = sink.checkout()
        report = source.load(
            LoadRequest(
                database=database,
                files=files,
                find=lambda partition, file, sha256: sink.find_raw(SOURCE, partition, file, sha256),
                directory=Path(scratch),
                published=sink.published(),
            )
        )
        assert not report.refused, report.refused
        sink.publish(
            PublishRequest(
                run=f"{now:%Y%m%dT%H%M%S%f}",
                database=database,
                tables=("raw.psd_release",),
                fingerprint=fingerprint,
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # as a worker does: nothing is left that would have to be waited for
