"""Trino as a reader of Iceberg tables: a real server on this machine, asked by HTTP.

`make trino` gets the server, which is large and needs Java 24; without it, pytest skips the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

HOME = Path(__file__).resolve().parents[1] / "iceberg_readers" / "target" / "trino"
JAVA = 24  # what this release of Trino needs at least
PATIENCE = 600  # seconds until it has started, on a busy machine
WORDS = re.compile(r'JAVA_VERSION="(\d+)')


class Trino:
    """A Trino with one catalog, `lake`, until `close`."""

    def __init__(self, folder: Path, properties: str, secrets: Mapping[str, str]) -> None:
        """With *properties* of the catalog, which may name *secrets* of its environment."""
        java = _java()
        if not (HOME / "plugin" / "iceberg").is_dir():
            pytest.skip("no Trino here: `make trino` gets it")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        (folder / "catalog").mkdir(parents=True)
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / "iceberg").symlink_to(HOME / "plugin" / "iceberg")
        config = {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "http-server.http.port": self.uri.rpartition(":")[2],
            "discovery.uri": self.uri,
            "plugin.dir": str(plugins),
            "catalog.config-dir": str(folder / "catalog"),
        }
        lines = "".join(f"{key}={value}\n" for key, value in config.items())
        (folder / "config.properties").write_text(lines)
        (folder / "catalog" / "lake.properties").write_text(properties)
        self._log = (folder / "trino.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(java, "-Xmx1g", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=1"),
                *("-XX:+EnableDynamicAgentLoading", "-Djdk.attach.allowAttachSelf=true"),
                *("--add-modules=jdk.incubator.vector", "--sun-misc-unsafe-memory-access=allow"),
                *(f"-Dconfig={folder / 'config.properties'}", f"-Dnode.data-dir={folder}"),
                *("-Dnode.environment=tests", "-Duser.timezone=UTC"),
                *("-cp", f"{HOME}/lib/*", "io.trino.server.TrinoServer"),
            ],
            cwd=folder,
            env={**os.environ, **secrets},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._http = httpx.Client(base_url=self.uri, timeout=120)
        self._wait(folder / "trino.log")

    def rows(self, sql: str) -> list[list[object]]:
        """The rows of a query, in the form of `shown`."""
        headers = {
            "X-Trino-User": "tests",
            "X-Trino-Catalog": "lake",
            "X-Trino-Time-Zone": "UTC",
            "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME",  # else times have milliseconds
        }
        answer = self._http.post("/v1/statement", content=sql.encode(), headers=headers)
        rows: list[list[object]] = []
        while True:
            found: dict[str, Any] = answer.raise_for_status().json()
            assert "error" not in found, found["error"]["message"]
            kinds = [one["typeSignature"] for one in found.get("columns") or ()]
            rows += [list(map(_shown, kinds, row)) for row in found.get("data") or ()]
            if "nextUri" not in found:
                return rows
            answer = self._http.get(found["nextUri"])

    def close(self) -> None:
        self._http.close()
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _wait(self, log: Path) -> None:
        """Wait until it answers queries."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                if not self._http.get("/v1/info").json()["starting"]:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        self.close()
        pytest.fail(log.read_text(errors="replace")[-3000:])


def _java() -> str:
    """A Java that is new enough: that of PATH, or one beside it."""
    first = shutil.which("java")
    found = [Path(first).resolve()] if first else []
    for java in (*found, *sorted(Path("/usr/lib/jvm").glob("*/bin/java"))):
        release = java.parents[1] / "release"
        version = WORDS.search(release.read_text()) if release.exists() else None
        if version is not None and int(version[1]) >= JAVA:
            return str(java)
    pytest.skip(f"no Java {JAVA} or newer here, which Trino needs")


def _shown(kind: Mapping[str, Any], value: Any) -> object:  # noqa: PLR0911 -- one of each type
    """A value of Trino's JSON as `shown` has that of DuckDB."""
    within: Sequence[Any] = [one["value"] for one in kind["arguments"]]
    match kind["rawType"], value:
        case _, None:
            return None
        case "array", list():
            return [_shown(within[0], one) for one in value]
        case "map", dict():
            return sorted([key, _shown(within[1], one)] for key, one in value.items())
        case "row", list():
            names = [one["fieldName"]["name"] for one in within]
            kinds = [one["typeSignature"] for one in within]
            return sorted(
                [name, _shown(of, one)] for name, of, one in zip(names, kinds, value, strict=True)
            )
        case "real", _:
            return repr(struct.unpack("f", struct.pack("f", float(value)))[0] + 0.0)
        case "double", _:
            return repr(float(value) + 0.0)
        case "decimal", _:
            return f"{Decimal(value):f}"
        case "varbinary", _:
            return b64decode(value).hex()
        case name, str() if name.startswith("time"):
            return value.removesuffix(" UTC").replace(" ", "T").removesuffix(".000000")
    return str(value)
