"""The `duckdb` sink: raw files in a folder, tables in one DuckDB file with atomic publish."""

from __future__ import annotations

from pathlib import Path

from materia import Opening, Plugin, Setting, Sink, hookimpl
from materia.errors import ConfigError


def open_duckdb(opening: Opening) -> Sink:
    """Open the sink; this creates no file and does not import DuckDB.

    Raises:
        ConfigError: a setting names what cannot be a database, or a folder.
    """
    from materia_duckdb.sink import DuckDBSink

    check(opening)
    return DuckDBSink(database=_path(opening, "path"), raw=_path(opening, "raw"))


def check(opening: Opening) -> None:
    """Check the settings.

    Raises:
        ConfigError: a setting names what cannot be a database, or a folder.
    """
    database = _path(opening, "path")
    if "?" in str(database):
        raise ConfigError(
            "sinks.duckdb.path must contain no ?, since DuckDB cannot open a file of such a name, "
            f"is {database}"
        )
    if database.is_dir():
        raise ConfigError(f"sinks.duckdb.path must name a file, is the folder {database}")
    raw = _path(opening, "raw")
    if raw.exists() and not raw.is_dir():
        raise ConfigError(f"sinks.duckdb.raw must name a folder, is the file {raw}")


def _path(opening: Opening, setting: str) -> Path:
    return opening.directory / Path(str(opening.settings[setting])).expanduser()


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    """Declare `duckdb`."""
    return [
        Plugin(
            name="duckdb",
            default=True,
            summary="one local DuckDB file with atomic publish",
            open=open_duckdb,
            check=check,
            settings=(
                Setting(
                    name="path",
                    kind="text",
                    default="materia.duckdb",
                    help="The published database.",
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
