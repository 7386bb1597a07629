"""The `duckdb` sink: raw files in a folder, finished tables in one DuckDB file, swapped whole."""

from __future__ import annotations

from pathlib import Path

from materia import Opening, Plugin, Setting, Sink, hookimpl
from materia.errors import ConfigError


def open_duckdb(opening: Opening) -> Sink:
    """Open the sink; nothing is created before something is kept, and DuckDB is not imported."""
    from materia_duckdb.sink import DuckDBSink

    def resolve(setting: str) -> Path:
        return opening.directory / Path(str(opening.settings[setting])).expanduser()

    database = resolve("path")
    if "?" in str(database):
        raise ConfigError(
            "sinks.duckdb.path must have no ? in it, as DuckDB cannot open a file of such a name, "
            f"is {database}"
        )
    return DuckDBSink(database=database, raw=resolve("raw"))


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    """Declare `duckdb`."""
    return [
        Plugin(
            name="duckdb",
            default=True,
            summary="one local DuckDB file, swapped whole at each publish",
            open=open_duckdb,
            settings=(
                Setting(
                    name="path",
                    kind="text",
                    default="materia.duckdb",
                    help="The database that is published.",
                ),
                Setting(
                    name="raw",
                    kind="text",
                    default="raw",
                    help="Folder of the raw files.",
                ),
            ),
        )
    ]
