"""A declared source of an API with pages and a cursor, and the API on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from materia_snapshots import Api, Page, Pages, Runs, Snapshots, declare


def readings(api: Api) -> Iterator[Page]:
    """All readings behind the cursor, page after page."""
    cursor = api.cursor
    while True:
        answer = api.get("readings", after=cursor or "0")
        cursor = answer["next"]
        yield Page(answer["readings"], cursor)
        if not answer["more"]:
            return


source = Snapshots(
    name="readings",
    summary="Readings of a gauge",
    url="https://gauge.example/v1",
    partitions=Runs(),
    each="slice",
    form=Pages(readings),
    key=("id",),
    columns={"id": "TEXT", "level": "DECIMAL(9, 3)"},
)
materia_sources = declare(source)


class GaugeApi:
    """An API that gives two readings a page.

    Attributes:
        readings: What it has, oldest first.
        asked: The cursor of each request.
        given: The parameters of each request.
        content: The answer to each request; empty for what it should be.
        keys: The keys that requests had.
        fault: How it answers from now on; empty for as it should.
        faults_at: Number of the request with the fault, counted from 1; 0 for each.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.readings: list[dict[str, object]] = []
        self.asked: list[str] = []
        self.given: list[dict[str, list[str]]] = []
        self.content = b""
        self.keys: list[str] = []
        self.fault = ""
        self.faults_at = 0

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and content."""
        given = parse_qs(urlsplit(path).query)
        self.given.append(given)
        if self.content:
            return 200, self.content
        after = given["after"][0]
        self.keys += given.get("key", [])
        self.asked.append(after)
        start = int(after)
        page = self.readings[start : start + 2]
        end = start + len(page)
        good: dict[str, object] = {
            "readings": page,
            "next": str(end),
            "more": end < len(self.readings),
        }
        if self.fault and self.faults_at in {0, len(self.asked)}:
            return {
                "down": (503, b""),
                "gone": (404, b""),
                "forbidden": (401, b""),
                "page": (200, b"<html>"),
                "other": (200, b'{"items": []}'),
                "loop": (200, json.dumps({**good, "next": after, "more": True}).encode()),
            }[self.fault]
        return 200, json.dumps(good).encode()


@contextmanager
def gauge_api() -> Iterator[GaugeApi]:
    """The API, running."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = api.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = GaugeApi(server.server_port)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield api
        server.shutdown()
        thread.join()
