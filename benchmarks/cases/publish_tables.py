"""One process of `publish.py`: copy the tables of a database to Parquet, or publish them.

It prints its peak memory in kB. (`ru_maxrss` begins with that of its parent.)

python publish_tables.py copy DATABASE FOLDER TABLE...
python publish_tables.py publish DATABASE FOLDER TABLE... < settings as JSON
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path


def copy(database: Path, folder: Path, tables: list[str]) -> None:
    """The least that any publication in Parquet has to do: write each table to a file."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        for table in tables:
            connection.execute(
                f"COPY {table} TO '{folder / table}.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )


def publish(database: Path, folder: Path, tables: list[str]) -> None:
    """A whole publication by the sink `iceberg`, as at the end of a run."""
    import materia_iceberg
    from materia import Opening
    from materia.data import PublishRequest

    given = json.loads(sys.stdin.read())
    (plugin,) = materia_iceberg.materia_sinks()
    settings = {one.name: one.default for one in plugin.settings} | given["settings"]
    opening = Opening(settings=settings, secrets=given["secrets"], directory=folder)
    sink = materia_iceberg.open_iceberg(opening)
    working = sink.checkout()
    shutil.copyfile(database, working)
    sink.publish(
        PublishRequest(
            run=given["run"], database=working, tables=tuple(tables), fingerprint=given["run"]
        )
    )


if __name__ == "__main__":
    case, database, folder, *tables = sys.argv[1:]
    {"copy": copy, "publish": publish}[case](Path(database), Path(folder), tables)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(peak)
