"""Apache's own Iceberg REST catalog in a separate process: the reference for the fake catalog.

`make iceberg-parts` downloads it, and needs Java and Maven; without it, pytest skips its tests.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.iceberg_catalog import Answer, IcebergCatalog, Name, Table
from fakes.s3 import KEY, SECRET, S3Server

FOLDER = Path(__file__).resolve().parents[1] / "iceberg_catalog"
CLASS_PATH = FOLDER / "target" / "classpath.txt"
CLASSES = FOLDER / "target" / "classes"
# It runs for a few tests only: the quick compiler and a small heap.
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m")


class ApacheCatalog:
    """The catalog, on SQLite, with tables in a bucket of *store*."""

    def __init__(self, store: S3Server, bucket: str, folder: Path) -> None:
        if shutil.which("java") is None or not CLASS_PATH.exists():
            pytest.skip("no catalog of Apache here: `make iceberg-parts` gets it, with Maven")
        jars = CLASS_PATH.read_text(encoding="utf-8").strip()
        if not all(Path(jar).exists() for jar in jars.split(":")):
            pytest.skip("jars of Apache's catalog are gone: `make iceberg-parts` gets them again")
        properties = {
            "uri": f"jdbc:sqlite:{folder / 'catalog.db'}",
            "jdbc.schema-version": "V1",
            "warehouse": f"s3://{bucket}/apache",
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "client.region": "us-east-1",
            "s3.endpoint": store.endpoint,
            "s3.path-style-access": "true",
            "s3.access-key-id": KEY,
            "s3.secret-access-key": SECRET,
        }
        file = folder / "catalog.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        self._log = (folder / "catalog.log").open("wb")
        self._process = subprocess.Popen(
            [*JAVA, "-cp", f"{CLASSES}:{jars}", "ServeCatalog", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().decode().strip()
        assert port, (folder / "catalog.log").read_text(errors="replace")[-2000:]
        self.uri = f"http://127.0.0.1:{port}"

    def metadata(self, name: str) -> dict[str, Any]:
        """The current metadata of a table."""
        namespace, _, table = name.partition(".")
        answer = httpx.get(f"{self.uri}/v1/namespaces/{namespace}/tables/{table}", timeout=60)
        found: dict[str, Any] = answer.raise_for_status().json()["metadata"]
        return found

    def tables(self, namespace: str) -> list[str]:
        """The names of all tables in a namespace."""
        answer = httpx.get(f"{self.uri}/v1/namespaces/{namespace}/tables", timeout=60)
        return sorted(one["name"] for one in answer.raise_for_status().json()["identifiers"])

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()
        self._log.close()


class GatedApache(IcebergCatalog):
    """Apache's catalog behind the gate of the fake one, which injects faults and lists requests."""

    def __init__(self, store: S3Server, bucket: str, folder: Path) -> None:
        folder.mkdir()
        self._apache = ApacheCatalog(store, bucket, folder)
        self._client = httpx.Client(base_url=self._apache.uri, timeout=60)
        super().__init__(store, bucket)

    def close(self) -> None:
        super().close()
        self._client.close()
        self._apache.close()

    def metadata(self, name: str) -> Table:
        return self._apache.metadata(name)

    @property
    def tables(self) -> dict[Name, Table]:
        """The tables of the namespace that tests look for."""
        try:
            names = self._apache.tables("publication")
        except httpx.HTTPStatusError:
            return {}
        return {("publication", name): self.metadata(f"publication.{name}") for name in names}

    @tables.setter
    def tables(self, value: dict[Name, Table]) -> None:
        """Nothing: Apache's catalog keeps them."""

    def _answer(self, environ: Mapping[str, Any], path: str, body: bytes) -> Answer:
        done = self._client.request(
            environ["REQUEST_METHOD"],
            environ["REQUEST_URI"],
            content=body,
            headers={"Content-Type": "application/json"},
        )
        return done.status_code, done.json() if done.content else None
