"""Spark as a reader of Iceberg tables, in a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakes.iceberg_catalog import TOKEN
from fakes.s3 import KEY, SECRET, S3Server
from fakes.spark_parts import JAVA, SMALL, jars, needs_spark

TESTS = Path(__file__).resolve().parents[1]
NAMES = itertools.count(1)


class SparkReader:
    """One Spark for many catalogs, until `close`."""

    def __init__(self, folder: Path) -> None:
        needs_spark()
        settings = {
            "spark.master": "local[2]",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": "1g",
            "spark.driver.extraJavaOptions": JAVA,
            "spark.jars": ",".join(jars()),
            "spark.local.dir": str(folder),
            "spark.log.level": "OFF",
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            **SMALL,
        }
        self._log = (folder / "spark.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fakes.spark_read"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(TESTS), "ICEBERG_TOKEN": TOKEN},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._say(settings)

    def catalog(self, store: S3Server, uri: str) -> str:
        """The name of a catalog in SQL from now on, which is read with the key of the bucket."""
        settings = {
            "type": "rest",
            "uri": uri,
            "warehouse": "lake",
            "token": "env:ICEBERG_TOKEN",
            "s3.endpoint": store.endpoint,
            "s3.path-style-access": "true",
            "s3.access-key-id": KEY,
            "s3.secret-access-key": SECRET,
            "client.region": "us-east-1",
        }
        return self.catalog_with(settings)

    def catalog_with(self, settings: Mapping[str, str]) -> str:
        """As `catalog`, with these settings."""
        name = f"lake{next(NAMES)}"
        self._ask({"catalog": name, "settings": {**settings, "cache-enabled": "false"}})
        return name

    def rows(self, sql: str) -> list[list[Any]]:
        """The rows of a query, in the form of `shown`."""
        return self._ask({"sql": sql})

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()
        self._log.close()

    def _ask(self, question: object) -> list[list[Any]]:
        self._say(question)
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        rows: list[list[Any]] = answer["rows"]
        return rows

    def _say(self, value: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()
