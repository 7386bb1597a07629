"""A server of weekly releases in zips, for the contract of declared sources."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import duckdb
from fakes.snapshot_files import zipped

EDITIONS = {
    1: "place;stock;on\nnorth;10;02/01/2026\nsouth;20;02/01/2026\n",
    2: "place;stock;on\nnorth;11;02/01/2026\nwest;5;03/01/2026\n",
}


class WeeklyServer:
    """A `materia_testing.contracts.source.World`."""

    keys = ("2026-01-02", "2026-01-09", "2026-01-16")
    now = datetime(2026, 1, 20, tzinfo=UTC)
    damages: Mapping[str, str] = {
        "a web page": "HTML",
        "half of it": "cut short",
        "another column": "colour",
        "letters": "no number",
        "a place twice": "north",
    }
    lacks: Mapping[str, str] = {}

    def __init__(self, port: int) -> None:
        self.settings = {"url": f"http://127.0.0.1:{port}/stocks", "since": "2026-01-02"}
        self._files: dict[str, bytes] = {}
        self._requests = self._sent = 0
        self._fault = ""

    def _put(self, key: str, content: bytes) -> None:
        self._files[f"/stocks/{key.replace('-', '')}.zip"] = content

    def publish(self, key: str, edition: int) -> None:
        self._put(key, zipped({"stocks.csv": f"{EDITIONS[edition]}{key};1;\n".encode()}))

    def rewrap(self, key: str, edition: int) -> None:
        text = f"{EDITIONS[edition]}{key};1;\n".encode()
        self._put(key, zipped({"stocks.csv": text}, method=zipfile.ZIP_STORED))

    def damage(self, key: str, how: str) -> None:
        text = {
            "another column": "place;stock;on;colour\nnorth;1;;red\n",
            "letters": "place;stock;on\nnorth;many;\n",
            "a place twice": "place;stock;on\nnorth;1;\nnorth;2;\n",
        }.get(how, EDITIONS[1])
        whole = zipped({"stocks.csv": text.encode()})
        odd = {"a web page": b"<html>moved", "half of it": whole[: len(whole) // 2]}
        self._put(key, odd.get(how, whole))

    def remove(self, key: str) -> None:
        del self._files[f"/stocks/{key.replace('-', '')}.zip"]

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
            return [
                connection.execute(f"FROM raw.stocks_{table} ORDER BY ALL").fetchall()
                for table in ("row", "history")
            ]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self._requests += 1
        content = self._files.get(handler.path)
        if self._fault == "gone" or content is None:
            handler.send_response(503 if self._fault == "gone" else 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        current = f'"{hashlib.sha256(content).hexdigest()}"'
        asked = handler.headers["If-None-Match"]
        same = asked == current or (self._fault == "contradicts" and asked is not None)
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
def weekly_server() -> Iterator[WeeklyServer]:
    """The server, running."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            world.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        world = WeeklyServer(server.server_port)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield world
        server.shutdown()
        thread.join()
