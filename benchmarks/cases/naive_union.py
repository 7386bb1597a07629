"""The obvious way: unzip every archive, read them all, keep each distinct row. At every run."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb


def main(database: str, *archives: str) -> None:
    """Load all *archives* into a fresh *database*."""
    with tempfile.TemporaryDirectory(dir=Path(database).parent) as scratch:
        for number, archive in enumerate(archives):
            zipfile.ZipFile(archive).extract("psd_alldata.csv", f"{scratch}/{number}")
        with duckdb.connect(database) as connection:
            connection.execute(
                "CREATE TABLE psd AS SELECT DISTINCT * FROM read_csv("
                f"'{scratch}/*/psd_alldata.csv', all_varchar = true, union_by_name = true)"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
