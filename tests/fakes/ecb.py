"""The ECB's data service on this machine: rates of a year as CSV, for the contract of `ecb`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import duckdb

HEADER = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE"
# Made up; the ECB's own figures are not needed to tell two editions apart.
EDITIONS = {
    1: {("USD", "01-03"): "1.10", ("USD", "01-04"): "1.20", ("JPY", "01-03"): "160.1"},
    2: {("USD", "01-03"): "1.10", ("USD", "01-04"): "1.25", ("BRL", "01-03"): "NaN"},
}


def csv(key: str, edition: int) -> str:
    """The answer of the service for a year."""
    rows = [
        f"EXR.D.{currency}.EUR.SP00.A,D,{currency},EUR,SP00,A,{key}-{day},{rate}"
        for (currency, day), rate in EDITIONS[edition].items()
    ]
    return "\n".join([HEADER, *rows, ""])


class EcbServer:
    """A `materia_testing.contracts.source.World`."""

    keys = ("2023", "2024", "2025")
    now = datetime(2025, 3, 1, tzinfo=UTC)
    damages: Mapping[str, str] = {
        "a page": "HTML page",
        "letters": "CURRENCY",
        "no days": "lacks the key column TIME_PERIOD",
        "a day of another form": "which is no date",
    }
    lacks: Mapping[str, str] = {"rewrap": "a CSV file has no wrapping"}

    def __init__(self, port: int) -> None:
        self.settings = {"url": f"http://127.0.0.1:{port}/service/data/EXR", "since": "2023"}
        self._files: dict[str, bytes] = {}
        self._requests = self._sent = 0
        self._fault = ""

    def publish(self, key: str, edition: int) -> None:
        self._files[key] = csv(key, edition).encode()

    def rewrap(self, key: str, edition: int) -> None:
        raise NotImplementedError(self.lacks["rewrap"])

    def damage(self, key: str, how: str) -> None:
        whole = csv(key, 1)
        self._files[key] = {
            "a page": "<!doctype html><title>Maintenance</title>",
            "letters": whole.replace("CURRENCY,", "CURRENCIES,", 1),
            "no days": whole.replace("TIME_PERIOD", "PERIOD"),
            "a day of another form": whole.replace(f"{key}-01-03", f"3/1/{key}"),
        }[how].encode()

    def remove(self, key: str) -> None:
        del self._files[key]

    def break_off(self) -> None:
        self._fault = "broken"

    def tear(self) -> None:
        self._fault = "torn"

    def contradict(self, key: str, edition: int) -> None:
        self.publish(key, edition)
        self._fault = "contradicts"

    def vanish(self) -> None:
        self._fault = "gone"

    def heal(self) -> None:
        self._fault = ""

    def requests(self) -> int:
        return self._requests

    def sent(self) -> int:
        return self._sent

    def read(self, database: Path) -> object:
        with duckdb.connect(str(database), read_only=True) as connection:
            return connection.execute("FROM raw.ecb_row ORDER BY ALL").fetchall()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self._requests += 1
        parts = urlsplit(handler.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert parts.path == "/service/data/EXR/D..EUR.SP00.A"
        assert (asked["format"], asked["detail"]) == ("csvdata", "dataonly")
        year = asked["startPeriod"].removesuffix("-01-01")
        assert asked["endPeriod"] == f"{year}-12-31"
        content = self._files.get(year)
        if self._fault == "gone" or content is None:
            handler.send_response(503 if self._fault == "gone" else 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        current = f'"{hashlib.sha256(content).hexdigest()}"'
        given = handler.headers["If-None-Match"]
        same = given == current or (self._fault == "contradicts" and given is not None)
        handler.send_response(304 if same else 200)
        handler.send_header("ETag", current)
        if not same and self._fault != "torn":
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if not same:
            cut = self._fault in {"broken", "torn"}
            sent = content[: len(content) // 2] if cut else content
            self._sent += len(sent)
            handler.wfile.write(sent)


@contextmanager
def ecb_server() -> Iterator[EcbServer]:
    """The service, running."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            world.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        world = EcbServer(server.server_port)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield world
        server.shutdown()
        thread.join()
