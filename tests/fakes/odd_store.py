"""An S3 store with habits that real ones have, several at once; it keeps its objects itself.

What is asked of it: who signs is looked at, objects are kept with their conditions, listed in pages
and uploaded in parts. `habits` may be changed while it runs.
"""

from __future__ import annotations

import hashlib
import itertools
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from fakes.http_server import QuietServer
from fakes.odd_listing import Listed, answer, page_of
from fakes.s3 import KEY

ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>{}</Message></Error>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What the store does otherwise than AWS.

    Attributes:
        apart: Seconds within which a second write to one name is refused with 429, as R2 does.
        overloaded: Seconds since the first request for which every answer is 503.
        page: Names in a page of a listing.
        listing: Any of the words in `odd_listing.page_of`.
        late: Seconds until a written or deleted object shows in a listing.
        deletes: Status of every DELETE, or 0 for doing it.
        errors_in_200: So many answers to reads and writes are 200 with an error inside.
        loses: So many writes are answered well, and not done.
        bare_etags: ETags come without their quotes.
        conditions: `honoured`, `ignored`, `refused` with 501, as OVH did, or `lenient` about an
            If-Match for what is not there, as MinIO was.
        redirect: Where every request is sent with 307.
    """

    apart: float = 0
    overloaded: float = 0
    page: int = 1000
    listing: frozenset[str] = frozenset()
    late: float = 0
    deletes: int = 0
    errors_in_200: int = 0
    loses: int = 0
    bare_etags: bool = False
    conditions: str = "honoured"
    redirect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    content: bytes
    etag: str
    modified: datetime
    written: float


@dataclass(slots=True)
class State:
    """Everything the store remembers."""

    objects: dict[str, Kept] = field(default_factory=dict)
    before: dict[str, Kept] = field(default_factory=dict)  # deleted, and perhaps listed still
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    touched: dict[str, float] = field(default_factory=dict)
    first: float | None = None
    count: itertools.count[int] = field(default_factory=itertools.count)


class OddStore:
    """The store; `requests` has each one, as `PUT /bucket/name?query`, and its status."""

    def __init__(self, habits: Habits | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.habits = habits or Habits()
        self.state = State()
        self.lock = threading.RLock()
        self.requests: list[tuple[str, int]] = []
        self.headers: set[str] = set()  # names of all that were ever sent
        handler = type("Handler", (_Handler,), {"at": self})
        self._server = QuietServer(("127.0.0.1", 0), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.endpoint = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def be(self, **changes: Any) -> None:
        """Change some habits."""
        self.habits = replace(self.habits, **changes)

    def names(self) -> list[str]:
        return sorted(self.state.objects)

    def refused(self, status: int) -> list[str]:
        """The requests that were answered with that status."""
        return [request for request, answered in self.requests if answered == status]

    def age(self, by: timedelta) -> None:
        for name, one in self.state.objects.items():
            self.state.objects[name] = replace(one, modified=one.modified - by)

    def spend(self, habit: str) -> bool:
        """Whether a habit that happens so many times happens now."""
        left = getattr(self.habits, habit)
        if left:
            self.be(**{habit: left - 1})
        return bool(left)

    def listed(self) -> dict[str, Listed]:
        """What a listing knows of, in its order."""
        now, late = time.monotonic(), self.habits.late
        known = {**self.state.before, **self.state.objects} if late else self.state.objects
        return {
            name: Listed(size=len(one.content), etag=one.etag, modified=one.modified)
            for name, one in sorted(known.items())
            if not late or now - one.written >= late
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    at: ClassVar[OddStore]

    def log_message(self, *_: object) -> None: ...

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.at.lock:
            self.at.headers |= {name.lower() for name in self.headers}
            status, headers, content = self._answer(body)
            self.at.requests.append((f"{self.command} {unquote(self.path)}", status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815 -- as inherited

    def _answer(  # noqa: PLR0911 -- one return for each kind of answer
        self, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        state, habits, now = self.at.state, self.at.habits, time.monotonic()
        state.first = now if state.first is None else state.first
        if habits.redirect:
            return 307, {"Location": habits.redirect + self.path}, b""
        if f"Credential={KEY}/" not in self.headers.get("Authorization", self.path):
            return _error(403, "InvalidAccessKeyId")
        if now - state.first < habits.overloaded:
            return _error(503, "SlowDown")
        split = urlsplit(self.path)
        query = {
            key: values[0] for key, values in parse_qs(split.query, keep_blank_values=True).items()
        }
        name = unquote(split.path).lstrip("/").partition("/")[2]
        if query.get("list-type") == "2":
            page = page_of(self.at.listed(), habits.listing, query, size=habits.page)
            return 200, {"Content-Type": "application/xml"}, answer(page, query)
        if "delete" in query:
            return _error(501, "NotImplemented")
        if self.command in {"PUT", "POST"}:
            return self._write(name, query, body)
        if self.command == "DELETE":
            if habits.deletes:
                return _error(habits.deletes, "NotImplemented")
            if (gone := state.objects.pop(name, None)) is not None:
                state.before[name] = gone
            return 204, {}, b""
        return self._read(name)

    def _read(self, name: str) -> tuple[int, Mapping[str, str], bytes]:
        found = self.at.state.objects.get(name)
        if found is None:
            return _error(404, "NoSuchKey")
        headers = {
            "ETag": self._etag(found),
            "Last-Modified": found.modified.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }
        if self.command == "HEAD":
            return 200, {**headers, "Content-Length": str(len(found.content))}, b""
        if self.at.spend("errors_in_200"):
            return 200, headers, ERROR.format("SlowDown", "later").encode()
        if wanted := self.headers.get("Range"):
            start, end = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
            size, end = len(found.content), min(end, len(found.content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
            return 206, headers, found.content[start : end + 1]
        return 200, headers, found.content

    def _write(
        self, name: str, query: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        state, habits, now = self.at.state, self.at.habits, time.monotonic()
        if "uploads" in query:
            upload = f"upload-{next(state.count)}"
            state.parts[upload] = {}
            return 200, {}, f"<R><UploadId>{upload}</UploadId></R>".encode()
        if (upload := query.get("uploadId", "")) and self.command == "PUT":
            state.parts[upload][int(query["partNumber"])] = body
            return 200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b""  # noqa: S324 -- as S3
        last, state.touched[name] = state.touched.get(name, -1e9), now
        if now - last < habits.apart:
            return _error(429, "TooManyRequests")
        if refusal := self._condition(name):
            return refusal
        if upload:
            body = b"".join(part for _, part in sorted(state.parts.pop(upload).items()))
        if source := self.headers.get("x-amz-copy-source"):
            body = state.objects[unquote(source).lstrip("/").partition("/")[2]].content
        etag = f'"{hashlib.md5(body).hexdigest()}-{next(state.count)}"'  # noqa: S324 -- as S3
        kept = Kept(content=body, etag=etag, modified=datetime.now(UTC), written=now)
        if not self.at.spend("loses"):
            state.objects[name] = kept
        if self.at.spend("errors_in_200"):
            return 200, {}, ERROR.format("InternalError", "later").encode()
        shown = escape(self._etag(kept))
        return 200, {"ETag": self._etag(kept)}, f"<R><ETag>{shown}</ETag></R>".encode()

    def _condition(self, name: str) -> tuple[int, Mapping[str, str], bytes] | None:
        same, new = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        found, how = self.at.state.objects.get(name), self.at.habits.conditions
        if how == "ignored" or not (same or new):
            return None
        if how == "refused":
            return _error(501, "NotImplemented")
        if same and found is None and how != "lenient":
            return _error(404, "NoSuchKey")
        if (new and found) or (same and found and same != self._etag(found)):
            return _error(412, "PreconditionFailed")
        return None

    def _etag(self, kept: Kept) -> str:
        return kept.etag.strip('"') if self.at.habits.bare_etags else kept.etag


def _error(status: int, code: str) -> tuple[int, Mapping[str, str], bytes]:
    return status, {"Content-Type": "application/xml"}, ERROR.format(code, code).encode()
