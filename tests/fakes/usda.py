"""USDA's archive of PSD Online as a small HTTP server that keeps its state and fails on request.

It answers as the real host was seen to, an IIS: strong ETags made of the file's time, 304 to a
condition that holds, parts on request, keep-alive; and it writes down every request.
"""

from __future__ import annotations

import email.utils
import re
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

ARCHIVES = "/psdonline/downloads/archives"
HTML = b"<!DOCTYPE html>\r\n<html><body><h1>The site is being maintained</h1></body></html>\r\n"
START = datetime(2025, 11, 14, 16, 37, 12, 345678, tzinfo=UTC)

Kind = Literal[
    "status",  # answer with `status`, `headers` and `body`
    "html",  # a page with status 200 and no ETag
    "redirect",  # 302 to `to`
    "drip",  # send the body in 20 pieces, `after` milliseconds apart
    "stall",  # send `after` bytes of the body and then nothing
    "reset",  # send `after` bytes of the body and then reset the connection
    "short",  # end the connection in order after `after` bytes, against Content-Length
    "overstated",  # say that there are `after` bytes, and end the connection after those there are
    "understated",  # say and send only `after` bytes, as if that were all
    "unannounced",  # give no Content-Length, and end the connection after `after` bytes
    "ignore conditions",  # always the whole body, with its ETag
    "ignore range",  # always the whole body when a part is asked for
    "no etag",
    "by the date",  # 304 to If-Modified-Since alone, whatever If-None-Match says, with the new ETag
    "no validators",  # neither ETag nor Last-Modified
    "hang up",  # close the connection without an answer
]


@dataclass(slots=True, kw_only=True)
class Fault:
    """How answers go wrong, for one path or for all.

    Attributes:
        times: How many answers more; None for all.
    """

    kind: Kind
    path: str | None = None
    times: int | None = None
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"sorry"
    after: int = 0
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file on the server; *modified* has parts of a second, as ETags tell and dates do not."""

    content: bytes
    modified: datetime

    @property
    def etag(self) -> str:
        """The bytes of the modification FILETIME in hex, the lowest first, and `:0`."""
        since = self.modified - datetime(1601, 1, 1, tzinfo=UTC)
        ticks = (since // timedelta(microseconds=1)) * 10
        return f'"{"".join(f"{byte:x}" for byte in struct.pack("<Q", ticks))}:0"'

    @property
    def last_modified(self) -> str:
        """To the second."""
        return email.utils.format_datetime(self.modified.replace(microsecond=0), usegmt=True)


@dataclass(slots=True, kw_only=True)
class Request:
    """What was asked and how it ended.

    Attributes:
        path: Below the archives, `2025/11/psd_alldata_csv.zip`, or the whole path elsewhere.
        headers: Names in small letters.
        at: Seconds, on a clock that only compares.
        port: The client's: one number is one connection.
        sent: Bytes of the body that left, headers not counted.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    at: float
    port: int
    sent: int = 0


class UsdaServer:
    """The server; `with UsdaServer() as usda:` starts and stops it."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.connections: set[socket.socket] = set()
        self._clock = START
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """What a user sets as `base_url`."""
        return f"http://127.0.0.1:{self._port}{ARCHIVES}"

    def start(self) -> None:
        """Listen; after a `stop`, at the same address as before."""
        self.stopping.clear()
        server = _Server(("127.0.0.1", self._port), _Handler)
        server.usda = self
        self._port = server.server_address[1]
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="usda")
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and close all connections; once more does nothing."""
        if self._server is None or self._thread is None:
            return
        self.stopping.set()
        self._server.shutdown()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # closed by now
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None

    def publish(self, path: str, content: bytes, modified: datetime | None = None) -> File:
        """Put a file at *path*, `2025/11/psd_alldata_csv.zip`; each time it is a newer one."""
        self._clock += timedelta(minutes=1, microseconds=7)
        file = File(content=content, modified=modified or self._clock)
        self.files[path] = file
        return file

    def publish_tree(self, folder: Path) -> None:
        """Put every file of *folder* there, with its time on the disk."""
        for path in sorted(folder.rglob("*.zip")):
            modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            self.publish(path.relative_to(folder).as_posix(), path.read_bytes(), modified)

    def remove(self, path: str) -> None:
        """Let there be no such file."""
        self.files.pop(path, None)

    def fail(self, fault: Fault) -> Fault:
        """From now on answer so, until its times are over or `heal`; the newest fault wins."""
        with self.lock:
            self.faults.insert(0, fault)
        return fault

    def heal(self) -> None:
        """Fail no more."""
        with self.lock:
            self.faults.clear()

    def since(self, count: int) -> list[Request]:
        """The requests after the first *count*."""
        with self.lock:
            return self.requests[count:]

    def sent(self) -> int:
        """Bytes of all bodies."""
        with self.lock:
            return sum(request.sent for request in self.requests)

    def take_fault(self, path: str) -> Fault | None:
        """The fault that meets the next answer for *path*."""
        with self.lock:
            for fault in self.faults:
                if fault.path not in {None, path} or fault.times == 0:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None


class _Server(ThreadingHTTPServer):
    usda: UsdaServer
    daemon_threads = False
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # Nagle's algorithm would hold the body back for 40 ms behind the headers.
    disable_nagle_algorithm = True

    @property
    def usda(self) -> UsdaServer:
        return self.server.usda

    def setup(self) -> None:
        super().setup()
        with self.usda.lock:
            self.usda.connections.add(self.connection)
        self.connection.settimeout(30)

    def finish(self) -> None:
        with self.usda.lock:
            self.usda.connections.discard(self.connection)
        try:
            super().finish()
        except OSError:
            return  # the client has gone

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the parent's name
        pass

    def version_string(self) -> str:
        return "Microsoft-IIS/10.0"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:  # noqa: C901 -- as many ways as an answer goes wrong
        path = self.path.removeprefix(f"{ARCHIVES}/")
        fault = self.usda.take_fault(path)
        status, headers, body = self._answer(path, fault)
        kind = fault.kind if fault else None
        noted = self._note(path, 0 if kind == "hang up" else status)
        if kind == "hang up":
            self._end(reset=False)
            return
        length = len(body)
        cut = length
        if fault is not None and kind in {"stall", "reset", "short", "understated", "unannounced"}:
            cut = min(fault.after, length)
            length = cut if kind == "understated" else length
        if fault is not None and kind == "overstated":
            length = fault.after
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if kind == "unannounced":
            self.close_connection = True
        elif status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD" and status != HTTPStatus.NOT_MODIFIED:
            size = len(body) // 20 + 1 if kind == "drip" else 4096
            for start in range(0, cut, size):
                if fault is not None and kind == "drip":
                    self.usda.stopping.wait(fault.after / 1000)
                chunk = body[start : min(start + size, cut)]
                noted.sent += len(chunk)
                self.wfile.write(chunk)
        if kind == "stall":
            self.wfile.flush()
            self.usda.stopping.wait(60)
            self.close_connection = True
        elif kind == "reset" or (kind in {"short", "overstated"} and cut < length):
            self._end(reset=kind == "reset")

    def _end(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _note(self, path: str, status: int) -> Request:
        """Write the request down, before its answer is on the way."""
        request = Request(
            method=self.command,
            path=path,
            headers={name.lower(): value for name, value in self.headers.items()},
            status=status,
            at=time.monotonic(),
            port=self.client_address[1],
        )
        with self.usda.lock:
            self.usda.requests.append(request)
        return request

    def _answer(  # noqa: PLR0911 -- as many ways as a server answers
        self, path: str, fault: Fault | None
    ) -> tuple[int, dict[str, str], bytes]:
        kind = fault.kind if fault else None
        if fault is not None and kind == "status":
            return fault.status, dict(fault.headers), fault.body
        if kind == "html":
            return 200, {"Content-Type": "text/html; charset=utf-8"}, HTML
        if fault is not None and kind == "redirect":
            return 302, {"Location": fault.to}, b""
        file = self.usda.files.get(path)
        if file is None:
            return 404, {"Content-Type": "text/html"}, HTML
        headers = {
            "Content-Type": "application/x-zip-compressed",
            "Last-Modified": file.last_modified,
            "Accept-Ranges": "bytes",
            "ETag": file.etag,
        }
        if kind in {"no etag", "no validators"}:
            del headers["ETag"]
        if kind == "no validators":
            del headers["Last-Modified"]
        if kind not in {"ignore conditions", "no validators"} and self._holds(file, kind):
            return 304, headers, b""
        if kind not in {"ignore range", "ignore conditions"} and (asked := self._range(file)):
            start, end = asked
            if start >= len(file.content):
                return 416, {"Content-Range": f"bytes */{len(file.content)}"}, b""
            headers["Content-Range"] = f"bytes {start}-{end}/{len(file.content)}"
            return 206, headers, file.content[start : end + 1]
        return 200, headers, file.content

    def _holds(self, file: File, kind: str | None) -> bool:
        """Whether the client has this very file; If-None-Match goes before If-Modified-Since."""
        if kind == "by the date" and self.headers.get("If-None-Match") is not None:
            return True
        if (tags := self.headers.get("If-None-Match")) is not None:
            return kind != "no etag" and file.etag in {tag.strip() for tag in tags.split(",")}
        if (since := self.headers.get("If-Modified-Since")) is not None:
            moment = email.utils.parsedate_to_datetime(since)
            return file.modified.replace(microsecond=0) <= moment
        return False

    def _range(self, file: File) -> tuple[int, int] | None:
        """First and last byte of the part that is asked for, unless If-Range names another file."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None or self.headers.get("If-Range", file.etag) != file.etag:
            return None
        last = len(file.content) - 1
        return int(found[1]), min(int(found[2] or last), last)
