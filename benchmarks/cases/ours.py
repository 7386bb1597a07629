"""materia: fetch what is new in a folder, load it into history, publish the file. No models.

With the third argument `kit`, the source is a declaration for materia-snapshots of the same files,
keys and types, in place of psdonline.
"""

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
from materia.protocols import Source
from materia_runner.bundled import load_registry

T = TypeVar("T")
SOURCE = "psdonline"


def opened(found: InstalledPlugin[T], directory: Path, **changed: object) -> T:
    """The plugin, opened with its defaults but for what is *changed*."""
    settings = {setting.name: setting.default for setting in found.plugin.settings}
    return found.plugin.open(
        Opening(secrets={}, settings={**settings, **changed}, directory=directory)
    )


def declared(home: Path, url: str) -> Source:
    """The archives of psdonline as a declaration of the kit."""
    from materia_snapshots import Column, Csv, Months, Snapshots

    types = {
        "commodity_code": "TEXT",
        "commodity_description": "TEXT",
        "country_code": "TEXT",
        "country_name": "TEXT",
        "market_year": "INTEGER",
        "calendar_year": "INTEGER",
        "month": "TEXT",
        "attribute_id": "TEXT",
        "attribute_description": "TEXT",
        "unit_id": "TEXT",
        "unit_description": "TEXT",
        "value": "DECIMAL(18, 4)",
    }
    source = Snapshots(
        name=SOURCE,
        summary="Releases of the kit",
        url=url,
        partitions=Months("{year}/{month:02}/psd_alldata_csv.zip", since="2006-08"),
        each="release",
        form=Csv(packed="zip"),
        key=("commodity_code", "country_code", "market_year", "attribute_id"),
        columns={name: Column(type=one, header=name.title()) for name, one in types.items()},
    )
    plugin = source.plugin()
    settings = {setting.name: setting.default for setting in plugin.settings}
    return plugin.open(Opening(secrets={}, settings=settings, directory=home))


def main(mirror: str, directory: str, which: str = SOURCE) -> None:
    """Bring *directory* up to date with *mirror*, as the two stages of a run do."""
    registry, home = load_registry(bundled_only=True), Path(directory)
    url = Path(mirror).resolve().as_uri()
    if which == "kit":
        source, table = declared(home, url), f"raw.{SOURCE}_file"
    else:
        source, table = opened(registry.source(SOURCE), home, base_url=url), "raw.psd_release"
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
                tables=(table,),
                fingerprint=fingerprint,
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # as a worker does: nothing is left that would have to be waited for
