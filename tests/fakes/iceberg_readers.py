"""Readers of Iceberg tables, in their own environment: DuckDB's extension and pyiceberg.

`make iceberg-parts` makes that environment; without it, pytest skips the tests that need it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakes.iceberg_catalog import TOKEN
from fakes.s3 import KEY, SECRET, S3Server

FOLDER = Path(__file__).resolve().parents[1] / "iceberg_readers"
PYTHON = FOLDER / ".venv" / "bin" / "python"
ENGINES = ("duckdb", "pyiceberg")


class Readers:
    """A process that reads tables until `close`."""

    def __init__(self, store: S3Server, uri: str, *, warehouse: str = "lake") -> None:
        if not PYTHON.exists():
            pytest.skip("no readers of Iceberg here: `make iceberg-parts` gets them")
        self._process = subprocess.Popen(
            [PYTHON, FOLDER / "read.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(
            {
                "uri": uri,
                "warehouse": warehouse,
                "token": TOKEN,
                "endpoint": store.endpoint,
                "key": KEY,
                "secret": SECRET,
            }
        )

    def rows(
        self, engine: str, table: str, *, only: str = "", snapshot: int | None = None
    ) -> list[list[str | None]]:
        """The rows of a table that match the condition *only*, as texts and sorted."""
        return self._ask({"engine": engine, "table": table, "filter": only, "snapshot": snapshot})

    def matching(self, table: str, condition: list[str | None]) -> list[list[str | None]]:
        """The rows that pyiceberg finds for a column, its type, an operator and a value."""
        return self._ask({"engine": "pyiceberg", "table": table, "condition": condition})

    def execute(self, sql: str) -> list[list[str | None]]:
        """The rows of a DuckDB query, as texts and sorted."""
        return self._ask({"sql": sql})

    def _ask(self, question: object) -> list[list[str | None]]:
        self._say(question)
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        rows: list[list[str | None]] = answer["rows"]
        return rows

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _say(self, value: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()
