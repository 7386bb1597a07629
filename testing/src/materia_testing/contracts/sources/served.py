"""World of a source that reads files over HTTP: a server with ETags, faults and counts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Rows of a file: texts by column, None for what is missing.
Rows = Sequence[Mapping[str, str | None]]


class ServedFiles:
    """A `materia_testing.contracts.source.World` of one file a partition; see `served_files`."""

    def __init__(
        self,
        paths: Mapping[str, str],
        *,
        now: datetime,
        editions: Sequence[bytes],
        rewrapped: Sequence[bytes] = (),
        damaged: Mapping[str, tuple[bytes, str]],
        table: str,
        rows: Sequence[Rows] = (),
        leave_out: Sequence[str] = (),
        lacks: Mapping[str, str] | None = None,
    ) -> None:
        self.keys = tuple(paths)
        self.now = now
        self.damages = {how: word for how, (_, word) in damaged.items()}
        wrapped = {} if rewrapped else {"rewrap": "these files have no wrapping"}
        unknown = {} if rows else {"rows": "the test gives no rows of an edition"}
        self.lacks = {**wrapped, **unknown, **(lacks or {})}
        self.settings: dict[str, object] = {}
        self._paths = {key: f"/{path}" for key, path in paths.items()}
        self._editions, self._rewrapped, self._rows = editions, rewrapped, rows
        self._damaged = {how: content for how, (content, _) in damaged.items()}
        self._read = f"SELECT * EXCLUDE ({', '.join(leave_out)})" if leave_out else "SELECT *"
        self._table = table
        self._files: dict[str, bytes] = {}
        self._requests = self._sent = 0
        self._fault = ""

    def publish(self, key: str, edition: int) -> None:
        """Publish edition 1 or 2."""
        self._files[self._paths[key]] = self._editions[edition - 1]

    def rewrap(self, key: str, edition: int) -> None:
        """Publish an edition with other bytes."""
        self._files[self._paths[key]] = self._rewrapped[edition - 1]

    def damage(self, key: str, how: str) -> None:
        """Publish a damaged file."""
        self._files[self._paths[key]] = self._damaged[how]

    def remove(self, key: str) -> None:
        """Remove a partition."""
        del self._files[self._paths[key]]

    def break_off(self) -> None:
        """End every file midway, after its whole length was announced."""
        self._fault = "break off"

    def tear(self) -> None:
        """End every file midway, without a length."""
        self._fault = "tear"

    def contradict(self, key: str, edition: int) -> None:
        """Publish an edition, and answer every conditional request "not modified"."""
        self.publish(key, edition)
        self._fault = "contradict"

    def vanish(self) -> None:
        """Answer every request with 503."""
        self._fault = "vanish"

    def heal(self) -> None:
        """Undo every fault."""
        self._fault = ""

    def requests(self) -> int:
        """The number of requests so far."""
        return self._requests

    def sent(self) -> int:
        """The number of file bytes sent so far."""
        return self._sent

    def read(self, database: Path) -> object:
        """The rows of the raw table, sorted."""
        import duckdb

        with duckdb.connect(str(database), read_only=True) as connection:
            return connection.execute(f"{self._read} FROM {self._table} ORDER BY ALL").fetchall()

    def expected(self, key: str, edition: int) -> Sequence[object]:
        """The rows of an edition, sorted."""
        columns = self._columns()
        return sorted(self._rows[edition - 1], key=lambda row: [str(row[one]) for one in columns])

    def found(self, database: Path) -> Sequence[object]:
        """The rows of the raw table in the columns of `expected`, as texts, sorted."""
        import duckdb

        columns = self._columns()
        chosen = ", ".join(f'"{name}"::VARCHAR' for name in columns)
        with duckdb.connect(str(database), read_only=True) as connection:
            found = connection.execute(f"SELECT {chosen} FROM {self._table}").fetchall()
        rows = sorted(found, key=lambda row: [*map(str, row)])
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _columns(self) -> list[str]:
        return sorted({name for rows in self._rows for row in rows for name in row})

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self._requests += 1
        content = self._files.get(request.path)
        if self._fault == "vanish" or content is None:
            self._send(request, 503 if self._fault == "vanish" else 404, "", b"")
            return
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        given = request.headers["If-None-Match"]
        if given == tag or (given is not None and self._fault == "contradict"):
            self._send(request, 304, tag, b"")
        else:
            self._send(request, 200, tag, content)

    def _send(self, request: BaseHTTPRequestHandler, status: int, tag: str, content: bytes) -> None:
        request.send_response(status)
        if tag:
            request.send_header("ETag", tag)
        if self._fault != "tear":
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if self._fault in {"break off", "tear"}:
            content = content[: len(content) // 2]
        self._sent += len(content)
        request.wfile.write(content)


@contextmanager
def served_files(
    paths: Mapping[str, str],
    *,
    now: datetime,
    editions: Sequence[bytes],
    rewrapped: Sequence[bytes] = (),
    damaged: Mapping[str, tuple[bytes, str]],
    table: str,
    rows: Sequence[Rows] = (),
    leave_out: Sequence[str] = (),
    lacks: Mapping[str, str] | None = None,
    setting: str = "url",
) -> Iterator[ServedFiles]:
    """Serve files on this machine, as the world of a source.

    Args:
        paths: Path of the file of each of three partitions below the address, oldest first, with
            the query of the request if there is one.
        now: A time, in UTC, at which all three are due.
        editions: The bytes of editions 1 and 2, for every partition.
        rewrapped: Both editions with the same rows in other bytes; none when that is impossible.
        damaged: Bytes of a damaged file and a word that the reason must contain, by a name.
        table: The table that `load` fills, with its schema.
        rows: The rows of editions 1 and 2 as they must be loaded, written by hand: the text of each
            value by its column, with every digit, or None.
        leave_out: Its columns that differ between two loads of the same files.
        lacks: What the source cannot use, with the reason: `{"validators": "an API has none"}`.
        setting: The setting of the source that has the address.
    """
    world = ServedFiles(
        paths,
        now=now,
        editions=editions,
        rewrapped=rewrapped,
        damaged=damaged,
        table=table,
        rows=rows,
        leave_out=leave_out,
        lacks=lacks,
    )
    with serving(world) as address:
        world.settings[setting] = address
        yield world


@contextmanager
def serving(world: ServedFiles) -> Iterator[str]:
    """Serve the files of *world* on this machine; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            world.answer(self)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
