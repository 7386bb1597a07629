"""The floor of a transform: plain DuckDB runs the statements and audits of all models once.

    python benchmarks/cases/models_alone.py DATABASE RECORDED_BUILD

*DATABASE* is a private copy of a published database, *RECORDED_BUILD* the file that comes with the
SQLMesh project. The incremental models get the newest release; seeds stay as they are.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import duckdb


def main() -> None:
    """Run all statements but comments, and count the rows of all audits."""
    database, recorded = sys.argv[1:]
    values = json.loads(gzip.decompress(Path(recorded).read_bytes()))["build"]
    with duckdb.connect(config={"memory_limit": "700MB"}) as connection:
        connection.execute(f"ATTACH '{database}' AS materia; USE materia")
        newest = connection.execute("SELECT max(release) FROM raw.psd_release").fetchall()[0][0]
        for model in (one for one in values["models"] if one["kind"] != "SEED"):
            for statement in model["statements"]:
                if not statement.startswith("COMMENT "):
                    connection.execute(of_day(statement, newest))
            for audit in model["audits"]:
                connection.execute(f"SELECT count(*) FROM ({of_day(audit['query'], newest)})")
                connection.fetchall()


def of_day(text: str, day: object) -> str:
    """A statement of an incremental model for one day."""
    return text.replace("{first day}", f"{day}").replace("{last day}", f"{day}")


if __name__ == "__main__":
    main()
