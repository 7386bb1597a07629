"""A sink that publishes Parquet files: `current/serving/prices.parquet` of `serving.prices`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from materia import Table
from materia.kit.sql import literal
from materia_store.folder.sink import FolderSink
from materia_store.known_partitions import name as file_name
from materia_store.publication import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class AcmeSink(FolderSink):
    """`FolderSink` keeps raw files, locks, makes the working copy and swaps `current`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, setting="sinks.acme.folder")

    def export(
        self, connection: DuckDBPyConnection, tables: Sequence[Table], folder: Path, /
    ) -> None:
        for table in tables:
            schema, name = table.name.split(".", 1)
            path = folder / file_name(schema) / f"{file_name(name)}.parquet"
            path.parent.mkdir(exist_ok=True)
            target = literal(str(path))
            connection.execute(f"COPY {quoted(schema, name)} TO {target} (FORMAT parquet)")
