"""What a publication to Iceberg takes: CPU time and memory beside a local COPY of the same tables.

    uv run --all-extras --group dev --group iceberg python benchmarks/publish.py materia.duckdb

Cases: COPY of each table to Parquet, the first publication of all tables, and one in which no table
changed. Bucket and catalog are fakes in this process, so only the publishing process is measured;
the cases alternate, and the least of each counts. *materia.duckdb* is a database that `materia run`
has published.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
CASE = HERE / "cases/publish_tables.py"


def measured(case: str, *arguments: str | Path, given: object = None) -> tuple[float, float]:
    """CPU seconds and peak memory, in MB, of one process.

    Raises:
        SystemExit: it failed.
    """
    process = subprocess.Popen(
        [sys.executable, str(CASE), case, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(given).encode())
    process.stdin.close()
    said = process.stdout.read().split()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{case} failed")
    return used.ru_utime + used.ru_stime, int(said[-1]) / 1000


def published_tables(database: Path) -> list[str]:
    """The stored tables that the sink publishes by default."""
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(
            "SELECT name FROM publication.tables WHERE NOT starts_with(name, 'raw.') UNION ALL "
            "SELECT 'raw.' || table_name FROM duckdb_tables() WHERE schema_name = 'raw' ORDER BY 1"
        ).fetchall()
    return [name for (name,) in rows]


def main() -> None:
    """Measure what the command line says, and print a table."""
    from fakes.iceberg_catalog import IcebergCatalog
    from fakes.iceberg_runs import SECRETS, settings_of
    from fakes.s3 import S3Server

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("database", type=Path)
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="of each case")
    options = parser.parse_args()
    tables = published_tables(options.database)
    store = S3Server()
    found: dict[str, list[tuple[float, float]]] = {"copy": [], "all": [], "unchanged": []}
    requests = {}
    for number in range(options.repetitions):
        bucket = f"bench{number}"
        store.client().create_bucket(Bucket=bucket)
        catalog = IcebergCatalog(store, bucket)
        given = {"settings": settings_of(store, bucket, catalog.uri), "secrets": SECRETS}
        with tempfile.TemporaryDirectory() as folder:
            arguments = (options.database, folder, *tables)
            found["copy"].append(measured("copy", *arguments))
            for name in ("all", "unchanged"):
                before = len(catalog.requests), len(store.names(bucket))
                found[name].append(measured("publish", *arguments, given={**given, "run": name}))
                after = len(catalog.requests), len(store.names(bucket))
                requests[name] = [now - then for now, then in zip(after, before, strict=True)]
        catalog.close()
    floor = min(found["copy"])[0]
    print("| case | CPU | of COPY | peak memory | requests to the catalog | new objects |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, figures in found.items():
        seconds, memory = min(figures)
        catalogs, objects = requests.get(name, ("", ""))
        print(
            f"| {name} | {seconds:.2f} s | {seconds / floor:.2f} | {memory:.0f} MB "
            f"| {catalogs} | {objects} |"
        )
    print(f"{len(tables)} tables")


if __name__ == "__main__":
    main()
