"""A webhook on this machine, as of healthchecks.io, that can be slow, odd or down."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Manner = Literal["well", "slow", "drips", "500", "404", "elsewhere", "hangs up", "no HTTP"]


@dataclass(frozen=True, slots=True)
class Ping:
    """What it was sent: the end of the path, and the text."""

    path: str
    text: str


class WebhookServer:
    """Keeps what it gets in `pings`; `address` is the secret."""

    def __init__(self, manner: Manner = "well") -> None:
        self.pings: list[Ping] = []
        self.manner: Manner = manner
        self.ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                outer.pings.append(Ping(self.path.removeprefix("/planted-key"), text))
                outer.answer(self)

            def do_GET(self) -> None:  # a client that follows a redirect
                outer.pings.append(Ping(self.path, "redirected"))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/planted-key"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, handler: Any) -> None:
        match self.manner:
            case "well" | "500" | "404":
                handler.send_response(200 if self.manner == "well" else int(self.manner))
                handler.end_headers()
            case "elsewhere":
                handler.send_response(302)
                handler.send_header("Location", "/other")
                handler.end_headers()
            case "slow":
                self.ended.wait(60)
            case "drips":
                while not self.ended.is_set():
                    handler.wfile.write(b"H")
                    time.sleep(0.05)
            case "no HTTP":
                handler.wfile.write(b"hello\n")
            case "hangs up":
                handler.connection.close()

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
