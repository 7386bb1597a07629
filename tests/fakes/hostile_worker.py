"""A source that has taken over its worker: it speaks to home in the worker's place, as it likes.

Its module alone goes to the machine. At home, and with the mode `good`, it is a small honest source
of two files. What home answers is said back as a log line, so that a test sees what was learnt.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

from materia import Plugin, Setting, hookimpl
from materia.data import Fetched, LoadReport, Partition, RawFile, Unchanged

FILES = {"2026-01": b"a,1\n", "2026-02": b"a,2\nb,3\n"}
ESC = "\x1b]0;PWNED\x07\x1b[2J\x1b[1;1Hfine\x9b2J\x1b]8;;http://evil\x07click\x1b]8;;\x07\u202e\u200b\x7f"
DONE = {"asked": 1, "fetched": 1, "unchanged": 0, "absent": 0, "refused": 0, "failed": 0}
RESULT = {**DONE, "not_asked": 0, "bytes": 1, "problems": [], "quarantined": [], "in_use": 2}
BUILT = {
    "published": True,
    "files": 2,
    "loaded": [],
    "removed": [],
    "rows_added": 0,
    "rows_ended": 0,
    "models": 1,
    "audits": 1,
    "tests": 1,
    "problems": [],
    "database": None,
}
LINE = 'serving.x\').show()"; touch COPYPASTE; echo "'


class Worker:
    """The worker's place: its way to home, taken from under the frames that opened the source."""

    def __init__(self) -> None:
        frame = sys._getframe()
        while frame.f_code.co_name != "main" or "home" not in frame.f_locals:
            assert frame.f_back is not None
            frame = frame.f_back
        self._write: Callable[[str], None] = frame.f_locals["write"]
        self._answers: SimpleQueue[str] = SimpleQueue()
        frame.f_locals["home"].answered = self._answers.put
        self._number = 0
        self.request = frame.f_locals["request"]

    def line(self, text: str) -> None:
        self._write(text)

    def raw(self, content: bytes) -> None:
        self._write("")  # what was said before is flushed
        cells = self._write.__closure__ or ()
        stream = next(cell.cell_contents for cell in cells if hasattr(cell.cell_contents, "buffer"))
        stream.buffer.write(content)
        stream.buffer.flush()

    def event(self, kind: str, **values: Any) -> None:
        self.line(json.dumps({"event": kind, **values}))

    def tell(self, value: Any) -> None:
        self.line(json.dumps({"relay": self._number, "value": value}))
        self._number += 1

    def ask(self, value: Any) -> Any:
        self.tell(value)
        answer = self._answers.get()
        value = json.loads(answer)["value"]
        learnt = answer
        if isinstance(value, str) and Path(value).is_file():
            learnt += Path(value).read_bytes()[:2000].decode(errors="replace")
        self.event("log", level="info", message=f"LEARNT {learnt[:20_000]}")
        return value

    def file(self, content: bytes) -> tuple[str, str]:
        path = Path.home() / f"file-{self._number}"
        path.write_bytes(content)
        return str(path), hashlib.sha256(content).hexdigest()

    def record(self, key: str = "2026-01", **changes: Any) -> dict[str, Any]:
        """A right message but for *changes*, at whatever depth the name stands."""
        content = changes.pop("content_of_file", b"x")
        path, sha256 = self.file(content)
        name = changes.pop("name", "lines.csv")
        raw = {
            "type": "RawFile",
            "partition": key,
            "file": name,
            "url": "http://x",
            "sha256": sha256,
            "content": sha256,
            "size": len(content),
            "etag": "e",
            "last_modified": None,
            "fetched_at": datetime.now(UTC).isoformat(),
            **changes.pop("raw", {}),
        }
        return {
            "type": "Record",
            "source": "hostile",
            "partition": {"type": "Partition", "key": key, "url": "http://x", "file": name},
            "result": {"type": "Fetched", "raw": raw, "path": path, **changes.pop("result", {})},
            "sha256": sha256,
            **changes,
        }

    def publish(self, database: Path, tables: list[str], **changes: Any) -> Any:
        request = {
            "type": "PublishRequest",
            "run": self.request.run,
            "database": str(database),
            "tables": tables,
            "fingerprint": "s",
            **changes,
        }
        sha256 = hashlib.sha256(database.read_bytes()).hexdigest()
        return self.ask({"type": "Publish", "request": request, "sha256": sha256})

    def database(self, *statements: str) -> Path:
        import duckdb

        path = Path.home() / "evil" / "materia.duckdb"
        path.parent.mkdir(exist_ok=True)
        with duckdb.connect(str(path)) as connection:
            for statement in ("CREATE SCHEMA serving", *statements):
                connection.execute(statement)
        return path

    def built(self, *statements: str, tables: tuple[str, ...] = ("serving.v",)) -> None:
        self.ask({"type": "CheckOut"})
        self.publish(self.database(*statements), list(tables))
        self.event("result", values={**BUILT, "tables": []})

    def done(self, **values: Any) -> None:
        self.event("result", values={**RESULT, **values})

    def end(self, code: int = 0) -> NoReturn:
        sys.stderr.flush()
        os._exit(code)


class Hostile:
    """Honest at home, and with the mode `good`."""

    def __init__(self, opening: Any) -> None:
        mode = str(opening.settings["mode"])
        main: Any = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        if (
            mode != "good"
            and spec is not None
            and spec.name == "materia_runner.worker.stage_process"
        ):
            from hostile_modes import MODES  # type: ignore[import-not-found]

            worker = Worker()
            MODES[mode](worker)
            time.sleep(0.2)
            worker.end()

    def partitions(self, request: Any) -> Any:
        return [Partition(key=key, url=f"http://x/{key}", file="lines.csv") for key in FILES]

    def fetch(self, request: Any) -> Any:
        content = FILES[request.partition.key]
        sha256 = hashlib.sha256(content).hexdigest()
        if request.known and request.known.etag == sha256:
            return Unchanged(etag=sha256, last_modified=None)
        path = request.directory / "lines.csv"
        path.write_bytes(content)
        raw = RawFile(
            partition=request.partition.key,
            file="lines.csv",
            url=request.partition.url,
            sha256=sha256,
            content=sha256,
            size=len(content),
            etag=sha256,
            last_modified=None,
            fetched_at=datetime.now(UTC),
        )
        return Fetched(raw=raw, path=path)

    def load(self, request: Any) -> LoadReport:
        import duckdb

        with duckdb.connect(str(request.database)) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
            connection.execute(
                "CREATE OR REPLACE TABLE raw.lines (month DATE, name TEXT, value INTEGER)"
            )
            for raw in request.files:
                text = request.find(raw.partition, raw.file, raw.sha256).read_text()
                for line in text.splitlines():
                    name, value = line.split(",")
                    connection.execute(
                        f"INSERT INTO raw.lines VALUES ('{raw.partition}-01', '{name}', {value})"
                    )
        keys = tuple(raw.partition for raw in request.files)
        return LoadReport(
            loaded=keys, affected=tuple(date.fromisoformat(f"{key}-01") for key in keys)
        )

    def models(self) -> Path | None:
        import fakes

        return Path(next(iter(fakes.__path__))) / "folder_models"


@hookimpl
def materia_sources() -> Any:
    mode = Setting(name="mode", kind="text", default="good", help="What it does on a worker.")
    return [Plugin(name="hostile", summary="speaks as it likes", open=Hostile, settings=(mode,))]
