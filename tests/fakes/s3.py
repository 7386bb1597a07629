"""An S3 store on this machine: moto's, behind a gate that can do what a real one sometimes does.

moto keeps the objects, and honours If-Match and If-None-Match. The gate checks who asks, makes one
write wait for another so that no two meet the same condition, and injects faults.
"""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from werkzeug.serving import WSGIRequestHandler, make_server

KEY, SECRET = "AKIAMATERIATEST", "planted/secret+of/the+test"
XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}</Message>'
    "<AWSAccessKeyId>{key}</AWSAccessKeyId><RequestId>1</RequestId></Error>"
)
NAMES = itertools.count()


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to requests.

    Attributes:
        method: Of the requests it happens to; empty for all.
        name: A pattern that is searched in the path and query.
        status: Answered, with the code.
        code: As in S3's XML.
        drop: The connection is closed without an answer.
        after: The request is done first.
        cut: That many bytes of the answer are sent, then the connection is closed.
        seconds: Waited for first.
        act: Called first.
        skip: So many requests are left alone.
        times: How often it happens.
    """

    method: str = ""
    name: str = ""
    status: int = 0
    code: str = ""
    drop: bool = False
    after: bool = False
    cut: int | None = None
    seconds: float = 0
    act: Callable[[], object] = lambda: None
    skip: int = 0
    times: int = 1
    happened: int = field(default=0, init=False)

    def strikes(self, request: str) -> bool:
        """Whether it happens to this request, which counts."""
        method, _, path = request.partition(" ")
        if self.method not in {"", method} or not re.search(self.name, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.happened == self.times:
            return False
        self.happened += 1
        return True


class S3Server:
    """The store; `requests` has what was asked for, as `PUT /bucket/name?query`."""

    def __init__(self) -> None:
        # Half a second of imports, for no one but who opens a store.
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.tokens: set[str] = set()  # session tokens that were sent
        self.ignores_conditions = False
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._writing = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._gate, threaded=True, request_handler=Quiet)
        self._server.daemon_threads = True  # type: ignore[attr-defined]  # of its mixin
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def new_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"bucket-{next(NAMES)}"
        self.client().create_bucket(Bucket=name)
        return name

    def client(self) -> Any:
        """Another client than the one that is tested."""
        import boto3  # type: ignore[import-untyped]  # it has no types

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def contents(self, bucket: str) -> list[bytes]:
        """The bytes of every object in a bucket."""
        return [self.content(bucket, name) for name in self.names(bucket)]

    def names(self, bucket: str) -> list[str]:
        """The names of all objects in a bucket, sorted."""
        answer = self.client().list_objects_v2(Bucket=bucket)
        return sorted(one["Key"] for one in answer.get("Contents", ()))

    def content(self, bucket: str, name: str) -> bytes:
        """The bytes of an object."""
        body = self.client().get_object(Bucket=bucket, Key=name)["Body"].read()
        assert isinstance(body, bytes)
        return body

    def age(self, bucket: str, by: timedelta) -> None:
        """Make all objects in a bucket older."""
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        for one in s3_backends[DEFAULT_ACCOUNT_ID]["global"].buckets[bucket].keys.values():
            one.last_modified -= by

    def since(self, count: int) -> list[str]:
        """The requests after the first *count*."""
        return self.requests[count:]

    @contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """Let faults happen until the block ends."""
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _gate(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {unquote(environ['REQUEST_URI'])}"
        self.requests.append(request)
        if token := environ.get("HTTP_X_AMZ_SECURITY_TOKEN"):
            self.tokens.add(token)
        fault = next((fault for fault in self.faults if fault.strikes(request)), None)
        signed = environ.get("HTTP_AUTHORIZATION", request)  # or a signed address
        if f"Credential={KEY}/" not in signed:
            fault = Fault(status=403, code="InvalidAccessKeyId")
        if fault is None:
            return self._serve(environ, start)
        time.sleep(fault.seconds)
        if fault.after:
            self._serve(environ, lambda *_: None)
        fault.act()
        if fault.drop:
            return _hang_up(environ)
        if fault.status:
            text = XML.format(code=fault.code, key=KEY).encode()
            start(f"{fault.status} {fault.code or 'Error'}", [("Content-Length", str(len(text)))])
            if not fault.after:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else text]
        body = self._serve(environ, start)
        return body if fault.cut is None else _cut(environ, body, fault.cut)

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        if self.ignores_conditions:
            environ = {
                key: value
                for key, value in environ.items()
                if key not in {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"}
            }
        if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return list(self._moto(environ, start))
        with self._writing:
            return list(self._moto(environ, start))


class Quiet(WSGIRequestHandler):
    """Says nothing of each request."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None: ...  # noqa: A002 -- as inherited


def _hang_up(environ: dict[str, Any]) -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _cut(environ: dict[str, Any], body: list[bytes], count: int) -> Iterator[bytes]:
    yield b"".join(body)[:count]
    _hang_up(environ)
