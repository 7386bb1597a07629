"""Fake Iceberg REST catalog: HTTP server on localhost, tables in memory, fault injection.

It follows the specification for the few requests of a publication, with or without multi-table
commits; it checks the token, and vends credentials if a test sets that. `test_iceberg_real_catalog`
compares it with the catalog of Apache.
"""

from __future__ import annotations

import copy
import itertools
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from fakes.s3 import KEY, SECRET, Fault, Quiet, S3Server
from werkzeug.serving import make_server

TOKEN = "planted.token-of_the.test"  # noqa: S105 -- of a test
LENT = "planted-session-token"
PREFIX = "acme"
AT_ONCE, IN_ORDER = "at once", "in order"  # the two kinds of catalog
SEVERAL = "POST /v1/{prefix}/transactions/commit"
TABLES = "/v1/{prefix}/namespaces/{namespace}/tables"
ENDPOINTS = [
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    f"GET {TABLES}",
    f"POST {TABLES}",
    f"GET {TABLES}/{{table}}",
    f"POST {TABLES}/{{table}}",
    f"DELETE {TABLES}/{{table}}",
]
Table = dict[str, Any]
Name = tuple[str, str]
Answer = tuple[int, object]


class Refused(Exception):  # noqa: N818 -- it is an answer
    """An answer with an error."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.answer: Answer = (
            status,
            {"error": {"message": message, "type": kind, "code": status}},
        )


@dataclass(slots=True, kw_only=True)
class Lending:
    """Vended credentials, each valid for this many seconds."""

    seconds: float = 3600
    milliseconds: str | None = None  # the time of expiry as it is sent, instead of `seconds`
    endpoint: str | None = None  # instead of that of the store
    count: int = field(default=0, init=False)


class IcebergCatalog:
    """The catalog; `requests` lists all requests, such as `POST /v1/acme/namespaces`."""

    def __init__(
        self, store: S3Server, bucket: str, *, several: bool = True, prefix: str = PREFIX
    ) -> None:
        self.several = several
        self.lending: Lending | None = None
        self.warehouse = f"s3://{bucket}/tables"
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.namespaces: set[str] = set()
        self.tables: dict[Name, Table] = {}
        self.conflicts = 0
        self.underway: set[object] = set()  # requests without an answer
        self.altered: Callable[[str, bytes], bytes] = lambda _, text: text  # of a hostile catalog
        self._store = store
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._server = make_server(
            "127.0.0.1", 0, self._counted, threaded=True, request_handler=Quiet
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]  # of its mixin
        self.uri = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """Inject faults until the block ends."""
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []

    def metadata(self, name: str) -> Table:
        """The current metadata of a table."""
        namespace, _, table = name.partition(".")
        return copy.deepcopy(self.tables[namespace, table])

    def tag(self, name: str, ref: str, snapshot: int) -> None:
        """Set a tag, as another program would."""
        namespace, _, table = name.partition(".")
        self.tables[namespace, table]["refs"][ref] = {"snapshot-id": snapshot, "type": "tag"}

    def compact(self, name: str) -> None:
        """Compact a table: the same rows in another snapshot, which materia did not make."""
        namespace, _, table = name.partition(".")
        metadata = self.tables[namespace, table]
        current = metadata["current-snapshot-id"]
        head = next(one for one in metadata["snapshots"] if one["snapshot-id"] == current)
        counts = {key: value for key, value in head["summary"].items() if "materia" not in key}
        metadata["last-sequence-number"] += 1
        metadata["snapshots"].append(
            head
            | {
                "snapshot-id": current - 1,
                "parent-snapshot-id": current,
                "sequence-number": metadata["last-sequence-number"],
                "summary": counts | {"operation": "replace"},
            }
        )
        metadata["refs"]["main"]["snapshot-id"] = metadata["current-snapshot-id"] = current - 1

    def wait_until_answered(self) -> None:
        """Wait for the commits of killed runs: a slow catalog may apply one after the kill."""
        while self.underway:
            time.sleep(0.01)

    def _counted(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        one = object()
        self.underway.add(one)
        try:
            return self._gate(environ, start)
        finally:
            self.underway.discard(one)

    def _gate(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = unquote(environ["PATH_INFO"])
        request = f"{environ['REQUEST_METHOD']} {path}"
        self.requests.append(request)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        fault = next((fault for fault in self.faults if fault.strikes(request)), None)
        if fault is not None:
            time.sleep(fault.seconds)
            if fault.after:
                self._answer(environ, path, body)
            fault.act()
            if fault.drop:
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                raise ConnectionResetError
        if fault is not None and fault.status:
            status: int = fault.status
            content: object = {"error": {"message": f"{fault.code} {TOKEN}", "code": status}}
        else:
            status, content = self._answer(environ, path, body)
        text = self.altered(request, b"" if content is None else json.dumps(content).encode())
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
        start(f"{status} -", headers)
        return [text]

    def _answer(self, environ: Mapping[str, Any], path: str, body: bytes) -> Answer:
        try:
            _check(environ.get("HTTP_AUTHORIZATION"))
            query = {key: one[0] for key, one in parse_qs(environ["QUERY_STRING"]).items()}
            with self._lock:
                values = json.loads(body) if body else {}
                return self._serve(environ["REQUEST_METHOD"], path, query, values)
        except Refused as refused:
            return refused.answer

    def _serve(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any]
    ) -> Answer:
        if (method, path) == ("GET", "/v1/config"):
            if query.get("warehouse", "lake") != "lake":
                raise Refused(404, "NotFoundException", "no such warehouse")
            ends = [*ENDPOINTS, SEVERAL] if self.several else ENDPOINTS
            return 200, {"defaults": {}, "overrides": {"prefix": self._prefix}, "endpoints": ends}
        parts = path.removeprefix(f"/v1/{self._prefix}/" if self._prefix else "/v1/").split("/")
        match method, parts:
            case "POST", ["transactions", "commit"] if self.several:
                self._commit(body["table-changes"])
                return 204, None
            case "GET", ["namespaces"]:
                return 200, {"namespaces": [[one] for one in sorted(self.namespaces)]}
            case "POST", ["namespaces"]:
                (namespace,) = body["namespace"]
                if namespace in self.namespaces:
                    raise Refused(409, "AlreadyExistsException", f"{namespace} exists")
                self.namespaces.add(namespace)
                return 200, {"namespace": [namespace], "properties": {}}
            case _, ["namespaces", namespace, "tables", *rest]:
                return self._serve_tables(method, namespace, rest, query, body)
        raise Refused(404, "NotFoundException", f"no {method} {path}")

    def _serve_tables(
        self,
        method: str,
        namespace: str,
        rest: list[str],
        query: Mapping[str, str],
        body: Mapping[str, Any],
    ) -> Answer:
        if method == "GET" and not rest:
            if namespace not in self.namespaces:
                raise Refused(404, "NoSuchNamespaceException", f"no {namespace}")
            names = [one for space, one in sorted(self.tables) if space == namespace]
            named = [{"namespace": [namespace], "name": name} for name in names]
            return 200, {"identifiers": named}
        if method == "POST" and not rest:
            if namespace not in self.namespaces:
                raise Refused(404, "NoSuchNamespaceException", f"no {namespace}")
            name = namespace, str(body["name"])
            if name in self.tables:
                raise Refused(409, "AlreadyExistsException", f"{name} exists")
            self.tables[name] = self._new(name, body)
            return 200, self._loaded(name, {})
        (table,) = rest
        name = namespace, table
        if name not in self.tables:
            raise Refused(404, "NoSuchTableException", f"no table {name}")
        match method:
            case "GET":
                return 200, self._loaded(name, query)
            case "DELETE":
                del self.tables[name]
                return 204, None
            case "POST":
                identifier = {"namespace": [namespace], "name": table}
                self._commit([{"identifier": identifier, **body}])
                return 200, self._loaded(name, {})
        raise Refused(405, "NotSupported", method)

    def _loaded(self, name: Name, query: Mapping[str, str]) -> object:
        metadata = copy.deepcopy(self.tables[name])
        if query.get("snapshots") == "refs":
            held = {ref["snapshot-id"] for ref in metadata["refs"].values()}
            metadata["snapshots"] = [
                one for one in metadata["snapshots"] if one["snapshot-id"] in held
            ]
        config: dict[str, str] = {}
        if self.lending is not None:
            self.lending.count += 1
            config = {
                "s3.access-key-id": KEY,
                "s3.secret-access-key": SECRET,
                "s3.session-token": f"{LENT}-{self.lending.count}",
                "s3.endpoint": self.lending.endpoint or self._store.endpoint,
                "client.region": "us-east-1",
                "s3.session-token-expires-at-ms": self.lending.milliseconds
                or str(int((time.time() + self.lending.seconds) * 1000)),
            }
        location = f"{metadata['location']}/metadata/{metadata['last-updated-ms']}.json"
        return {"metadata-location": location, "metadata": metadata, "config": config}

    def _new(self, name: Name, body: Mapping[str, Any]) -> Table:
        schema = body["schema"] | {"schema-id": 0}
        properties = dict(body.get("properties") or {})
        properties.pop("format-version", None)
        return {
            "format-version": 2,
            "table-uuid": str(uuid.uuid4()),
            "location": f"{self.warehouse}/{'/'.join(name)}-{next(self._numbers)}",
            "last-sequence-number": 0,
            "last-updated-ms": int(time.time() * 1000),
            "last-column-id": _highest(schema),
            "current-schema-id": 0,
            "schemas": [schema],
            "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}],
            "last-partition-id": 999,
            "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}],
            "properties": properties,
            "current-snapshot-id": -1,
            "refs": {},
            "snapshots": [],
            "statistics": [],
            "partition-statistics": [],
            "snapshot-log": [],
            "metadata-log": [],
        }

    def _commit(self, changes: list[Mapping[str, Any]]) -> None:
        after: dict[Name, Table] = {}
        for change in changes:
            name = change["identifier"]["namespace"][0], change["identifier"]["name"]
            if name not in self.tables or name in after:
                raise Refused(404, "NoSuchTableException", f"no table {name}")
            table = copy.deepcopy(self.tables[name])
            for requirement in change["requirements"]:
                if not _holds(requirement, table):
                    self.conflicts += 1
                    raise Refused(409, "CommitFailedException", f"{name}: {requirement}")
            for update in change["updates"]:
                _apply(update, table)
            table["last-updated-ms"] = int(time.time() * 1000)
            after[name] = table
        self.tables |= after


def _check(said: str | None) -> None:
    if said != f"Bearer {TOKEN}":
        raise Refused(401, "NotAuthorizedException", f"{TOKEN} is not what was sent")


def _holds(requirement: Mapping[str, Any], table: Table) -> bool:
    match requirement["type"]:
        case "assert-table-uuid":
            return bool(requirement["uuid"] == table["table-uuid"])
        case "assert-ref-snapshot-id":
            found = table["refs"].get(requirement["ref"], {}).get("snapshot-id")
            return bool(requirement["snapshot-id"] == found)
        case "assert-current-schema-id":
            return bool(requirement["current-schema-id"] == table["current-schema-id"])
        case "assert-last-assigned-field-id":
            return bool(requirement["last-assigned-field-id"] == table["last-column-id"])
    raise Refused(400, "BadRequestException", f"unknown requirement {requirement}")


def _apply(  # noqa: C901 -- one case for each update
    update: Mapping[str, Any], table: Table
) -> None:
    match update["action"]:
        case "set-properties":
            table["properties"] |= update["updates"]
        case "add-schema":
            schema = update["schema"]
            if schema["schema-id"] in {one["schema-id"] for one in table["schemas"]}:
                raise Refused(400, "BadRequestException", "that schema id is taken")
            if _highest(schema) > update["last-column-id"]:
                raise Refused(400, "BadRequestException", "a field id is above last-column-id")
            table["schemas"].append(schema)
            table["last-column-id"] = max(table["last-column-id"], update["last-column-id"])
        case "set-current-schema":
            number = update["schema-id"]
            last = table["schemas"][-1]["schema-id"]
            table["current-schema-id"] = last if number == -1 else number
        case "add-snapshot":
            snapshot = update["snapshot"]
            if snapshot["sequence-number"] <= table["last-sequence-number"]:
                raise Refused(400, "BadRequestException", "the sequence number is an old one")
            table["last-sequence-number"] = snapshot["sequence-number"]
            table["snapshots"].append(snapshot)
        case "set-snapshot-ref":
            number = update["snapshot-id"]
            if number not in {one["snapshot-id"] for one in table["snapshots"]}:
                raise Refused(400, "BadRequestException", "there is no such snapshot")
            ref = {key: update[key] for key in ("type", "snapshot-id")}
            table["refs"][update["ref-name"]] = ref
            if update["ref-name"] == "main":
                table["current-snapshot-id"] = number
                moment = {"snapshot-id": number, "timestamp-ms": int(time.time() * 1000)}
                table["snapshot-log"].append(moment)
        case "remove-snapshots":
            gone = set(update["snapshot-ids"])
            kept = [one for one in table["snapshots"] if one["snapshot-id"] not in gone]
            table["snapshots"] = kept
            table["snapshot-log"] = [
                one for one in table["snapshot-log"] if one["snapshot-id"] not in gone
            ]
        case action:
            raise Refused(400, "BadRequestException", f"unknown update {action}")


def _highest(value: object) -> int:
    """The highest field id in a schema."""
    if isinstance(value, list):
        return max(map(_highest, value), default=0)
    if not isinstance(value, dict):
        return 0
    own = [value[key] for key in ("id", "element-id", "key-id", "value-id") if key in value]
    return max([*own, *map(_highest, value.values())], default=0)
