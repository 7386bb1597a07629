"""Acme's server on this machine, for tests: it keeps files, ETags and counts."""

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb

EDITIONS = {1: "nails,1.50\nscrews,2.00\n", 2: "nails,1.75\nscrews,2.00\nbolts,0.20\n"}
DAMAGED = {"a web page": "<html>moved</html>\n", "letters": "item,price\nnails,cheap\n"}


class AcmeServer:
    """A `materia_testing.contracts.source.World`."""

    keys = ("2026-01", "2026-02", "2026-03")
    now = datetime(2026, 3, 20, tzinfo=UTC)
    damages: Mapping[str, str] = {"a web page": "item,price", "letters": "no number"}
    lacks: Mapping[str, str] = {"rewrap": "a CSV file has no wrapping"}

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.settings = {"url": f"http://127.0.0.1:{server.server_port}/prices"}
        self._files: dict[str, bytes] = {}
        self._count = self._bytes = 0
        self._broken = self._torn = self._contradicts = self._gone = False

    def publish(self, key: str, edition: int) -> None:
        self._files[f"/prices/{key}.csv"] = f"item,price\n{EDITIONS[edition]}".encode()

    def rewrap(self, key: str, edition: int) -> None:
        raise NotImplementedError(self.lacks["rewrap"])

    def damage(self, key: str, how: str) -> None:
        self._files[f"/prices/{key}.csv"] = DAMAGED[how].encode()

    def remove(self, key: str) -> None:
        del self._files[f"/prices/{key}.csv"]

    def break_off(self) -> None:
        self._broken = True

    def tear(self) -> None:
        self._torn = True

    def contradict(self, key: str, edition: int) -> None:
        self.publish(key, edition)
        self._contradicts = True

    def vanish(self) -> None:
        self._gone = True

    def heal(self) -> None:
        self._broken = self._torn = self._contradicts = self._gone = False

    def requests(self) -> int:
        return self._count

    def sent(self) -> int:
        return self._bytes

    def read(self, database: Path) -> object:
        with duckdb.connect(str(database), read_only=True) as connection:
            return connection.execute("FROM raw.acme_row ORDER BY ALL").fetchall()

    def expected(self, key: str, edition: int) -> Sequence[object]:
        return sorted(EDITIONS[edition].split())

    def found(self, database: Path) -> Sequence[object]:
        sql = "SELECT item || ',' || price FROM raw.acme_row ORDER BY ALL"
        with duckdb.connect(str(database), read_only=True) as connection:
            return [row for (row,) in connection.execute(sql).fetchall()]

    def answer(self, path: str, etag: str | None) -> tuple[int, str, bytes]:
        """Status, ETag and content."""
        self._count += 1
        content = self._files.get(path)
        if self._gone:
            return 503, "", b""
        if content is None:
            return 404, "", b""
        current = f'"{hashlib.sha256(content).hexdigest()}"'
        same = etag == current or (self._contradicts and etag is not None)
        return (304, current, b"") if same else (200, current, content)

    @property
    def announces(self) -> bool:
        """Whether it says how long a file is."""
        return not self._torn

    def cut(self, content: bytes) -> bytes:
        """As much of the content as gets through."""
        content = content[: len(content) // 2] if self._broken or self._torn else content
        self._bytes += len(content)
        return content


@contextmanager
def acme_server() -> Iterator[AcmeServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, etag, content = world.answer(self.path, self.headers["If-None-Match"])
            self.send_response(status)
            self.send_header("ETag", etag)
            if world.announces:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(world.cut(content))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        world = AcmeServer(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield world
        server.shutdown()
        thread.join()
