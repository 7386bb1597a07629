"""The sample of a source, fetched and loaded into a database as a run would, without a sink."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from materia.data import Fetched, FetchRequest, LoadReport, LoadRequest, PartitionsRequest
from materia.hookspecs import Opening, Plugin
from materia.protocols import Source


def load_sample(plugin: Plugin[Source], database: Path, folder: Path) -> tuple[Source, LoadReport]:
    """Load the sample that comes with *plugin*; scratch files go to *folder*."""
    settings = {one.name: one.default for one in plugin.settings}
    given = {**settings, **(plugin.sample or {})}
    source = plugin.open(Opening(secrets={}, settings=given, directory=folder))
    asked = source.partitions(PartitionsRequest(known={}, now=datetime.now(UTC)))
    kept = folder / plugin.name
    kept.mkdir()
    files = []
    for partition in asked:
        result = source.fetch(FetchRequest(partition=partition, known=None, directory=kept))
        assert isinstance(result, Fetched), result
        result.path.replace(kept / result.raw.sha256)
        files.append(result.raw)
    request = LoadRequest(
        database=database,
        files=tuple(sorted(files, key=lambda raw: raw.partition)),
        find=lambda _partition, _file, sha256: kept / sha256,
        directory=kept,
    )
    return source, source.load(request)
