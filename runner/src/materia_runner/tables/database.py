"""Open the published database read-only, with access to files and networks off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import BusyError
from materia.kit.sql import LOCKED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What may be written besides: a list of paths, set before the configuration is locked.
LAST = ("enable_external_access", "lock_configuration")


@contextmanager
def opened(database: Path, *, writes: Path | None = None) -> Iterator[DuckDBPyConnection]:
    """A connection to the published database, closed at the end of the block.

    Another machine may have built the database, so its views read nothing outside it.

    Args:
        database: The published DuckDB file.
        writes: The one file that a COPY may write.

    Raises:
        BusyError: another process has the file open for writing, or the file is no database.
    """
    import duckdb

    early: Mapping[str, str] = {
        name: value for name, value in LOCKED.items() if name not in LAST or writes is None
    }
    try:
        connection = duckdb.connect(str(database.resolve()), read_only=True, config=dict(early))
    except duckdb.Error as error:
        raise BusyError(f"{database} cannot be read now: {error}") from error
    with connection:
        if writes is not None:
            connection.execute("SET allowed_paths = [?]", [str(writes)])
            for name in LAST:
                connection.execute(f"SET {name} = {LOCKED[name]}")
        yield connection
