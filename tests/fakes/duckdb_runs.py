"""The duckdb sink in a folder, and runs of it that a test starts in another process."""

from pathlib import Path

import duckdb
from materia.data import Fetched
from materia.errors import SinkError
from materia_duckdb.sink import DuckDBSink
from materia_testing.contracts.crash import tell
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.publish import build, request
from materia_testing.contracts.sinks.raw import JANUARY, SOURCE


def open_in(folder: Path) -> DuckDBSink:
    return DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")


def files(folder: Path) -> list[str]:
    """Paths of all files in the folder, as seen from there."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def publish_quickly(declared: Declared, version: int) -> object:
    """In another process: a transform that meets a full disk raises DuckDB's own error."""
    sink = declared.open()
    database = sink.checkout()
    try:
        build(database, version)
    except duckdb.Error as error:
        raise SinkError(f"while building: {error}") from error
    return tuple(sink.publish(request(f"run {version}", database, version)))


def record_quickly(declared: Declared, result: Fetched) -> None:
    declared.open().record(SOURCE, JANUARY, result)


def write_and_wait(path: Path) -> None:
    connection = duckdb.connect(str(path))
    connection.execute("CREATE TABLE note AS SELECT 'mine' AS text")
    tell("written")
