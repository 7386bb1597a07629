"""What a hostile worker does, by name: each is a function of its way to home."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_worker import (  # type: ignore[import-not-found]  # they lie beside one another on a worker
    BUILT,
    ESC,
    LINE,
    RESULT,
    Worker,
)

Mode = Callable[[Worker], None]


def recorded(key: str = "2026-01", **changes: Any) -> Mode:
    """Records a result with *changes*."""

    def act(worker: Worker) -> None:
        worker.ask(worker.record(key, **changes))
        worker.done()

    return act


def told(value: Any) -> Mode:
    """Sends one message, and says that all is done."""

    def act(worker: Worker) -> None:
        worker.ask(value)
        worker.done()

    return act


def lines(*texts: str) -> Mode:
    """Writes lines as they stand."""

    def act(worker: Worker) -> None:
        for text in texts:
            worker.line(text)

    return act


def event(**values: Any) -> Mode:
    return lines(json.dumps(values))


def built(*statements: str, tables: tuple[str, ...] = ("serving.v",)) -> Mode:
    """Publishes a database of these statements."""
    return lambda worker: worker.built(*statements, tables=tables)


def failed(kind: str, message: str = "so it says", *, expected: bool = True) -> Mode:
    return event(event="failed", kind=kind, message=message, expected=expected)


def reads_dot_env(worker: Worker) -> None:
    worker.ask(worker.record("P/a."))
    ask = {"type": "AskRaw", "source": "hostile", "partition": "P", "file": "a.env"}
    worker.ask({**ask, "sha256": "/../../../../"})


def escapes(worker: Worker) -> None:
    worker.event("log", level="warning", message=ESC)
    worker.event("log", level="info", message=ESC)
    worker.event("progress", phase=ESC, done=1, total=3, unit="partitions")
    sys.stderr.write(f"{ESC}\n")
    sys.stderr.flush()
    failed("SourceError", f"{ESC} and more\r{ESC}")(worker)


def claims_unpublished(worker: Worker) -> None:
    worker.event("result", values={**BUILT, "tables": [], "database": "/etc/passwd"})


def publishes_garbage(worker: Worker) -> None:
    worker.ask({"type": "CheckOut"})
    path = worker.database()
    path.write_bytes(b"\x00garbage" * 1000)
    worker.publish(path, ["serving.v"])


def publishes_early(worker: Worker) -> None:
    worker.publish(worker.database("CREATE TABLE serving.v AS SELECT 1"), ["serving.v"])


def publishes_for_another(worker: Worker) -> None:
    worker.ask({"type": "CheckOut"})
    database = worker.database("CREATE TABLE serving.v AS SELECT 1")
    worker.publish(database, ["serving.v"], run="20200101T000000-aaaaaa")


def asks_raw(**changes: Any) -> Mode:
    ask = {"type": "AskRaw", "source": "hostile", "partition": "2026-01", "file": "lines.csv"}
    return lambda worker: (worker.ask({**ask, "sha256": "0" * 64, **changes}), None)[1]


def refuses(**changes: Any) -> Mode:
    def act(worker: Worker) -> None:
        raw = {**worker.record()["result"]["raw"], **changes}
        worker.ask({"type": "Refuse", "source": "hostile", "raw": raw, "reason": ESC})

    return act


def named(worker: Worker) -> None:
    Path("/tmp/planted.csv").write_text("a,b\n1,2\n")  # noqa: S108 -- of the machine alone
    worker.built("CREATE VIEW serving.v AS SELECT * FROM '/tmp/planted.csv'")


def floods(worker: Worker) -> None:
    for _ in range(3000):
        worker.event("log", level="info", message="x" * 500)
    worker.done()


def large(worker: Worker) -> dict[str, Any]:
    """A message about a file that is larger than any disk, and has no block on this one."""
    path = Path.home() / "large"
    with path.open("wb") as file:
        file.truncate(1 << 43)
    message: dict[str, Any] = worker.record(raw={"size": 1 << 43}, result={"path": str(path)})
    return message


def sends_more_than_a_disk(worker: Worker) -> None:
    worker.ask(large(worker))
    worker.done()


def refuses_more_than_a_disk(worker: Worker) -> None:
    message = large(worker)
    path = message["result"]["path"]
    refused = {"type": "Refused", "reason": "x", "etag": None, "last_modified": None, "path": path}
    worker.ask({**message, "result": refused})
    worker.done()


FIELDS = {"asked": "x", "fetched": -1, "bytes": 10**40, "problems": [{"a": 1}], "unchanged": None}
READ = "read_text('/etc/passwd')"  # there and at home
EXTRACT: dict[str, Mode] = {
    "reads .env": reads_dot_env,
    "writes .bashrc": recorded("P", name="a.bashrc", raw={"sha256": "/../../../../../"}),
    "another hash": recorded(raw={"sha256": "0" * 64}),
    "a short hash": recorded(sha256="abc"),
    "a partition above": recorded(".."),
    "a partition far above": recorded("../../../../x"),
    "an absolute partition": recorded("/etc/cron.d"),
    "a partition with ESC": recorded(f"2026{ESC}"),
    "a partition that is a list": recorded(partition=["2026-01"]),
    "a partition of its own": recorded("2026-03"),
    "a file above": recorded(name="../../.bashrc"),
    "a file with a folder": recorded(name="a/b"),
    "a long file name": recorded(name="x" * 5000),
    "another file": recorded(raw={"file": "other.csv"}),
    "another partition": recorded(raw={"partition": "2026-02"}),
    "another source": recorded(source="psdonline"),
    "a source above": recorded(source="../.."),
    "no file and a hash": recorded(result={"type": "Absent"}),
    "a negative size": recorded(raw={"size": -1}),
    "an endless size": recorded(raw={"size": 10**30}),
    "another size": recorded(raw={"size": 5}),
    "more than it said": recorded(raw={"size": 0}),
    "more than a disk": sends_more_than_a_disk,
    "more than a disk, refused": refuses_more_than_a_disk,
    "no moment": recorded(raw={"fetched_at": "9999-12-31T23:59:59-14:00"}),
    "a moment that is a number": recorded(raw={"fetched_at": 3}),
    "a folder for a file": recorded(result={"path": "/"}),
    "a file that is not there": recorded(result={"path": "/no/such"}),
    "an endless file": recorded(result={"path": "/dev/zero"}),
    "a NUL in a path": recorded(result={"path": "a\0b"}),
    "a class of Python": told({"type": "os.system", "x": 1}),
    "a message that is a list": told([1, 2]),
    "a message without fields": told({"type": "Record"}),
    "a message with more fields": told({"type": "AskKnown", "source": "hostile", "x": 1}),
    "a transform's message": told({"type": "CheckOut"}),
    "an early publish": told({"type": "AskPublished"}),
    "nested deeply": lines('{"relay": 0, "value": ' + "[" * 200_000 + "]" * 200_000 + "}"),
    "an event nested deeply": lines('{"event": "log", "message": ' + "[" * 200_000 + "}"),
    "half a message": lines('{"relay": 0, "value": {"type"'),
    "a number that is none": lines('{"relay": NaN, "value": null}'),
    "a negative number": lines('{"relay": -1, "value": {"type": "AskKnown", "source": "hostile"}}'),
    "escapes": escapes,
    "half a character": failed("SourceError", "\udfff \ud800"),
    "an orphan": failed("OrphanError"),
    "sold out": failed("CapacityError"),
    "a lost worker": failed("WorkerLostError"),
    "over budget": failed("BudgetError", expected=False),
    "money": event(event="spent", amount="notanumber", currency="EUR"),
    "a machine": event(event="instance", name="m", state="gone", provider=ESC),
    "progress in words": event(event="progress", phase="f", done="x", total="y", unit="models"),
    "a log that is no text": event(event="log", level="warning", message={"a": 1}),
    "an unknown event": event(event="shout"),
    "an empty result": event(event="result", values={}),
    **{
        f"a result with odd {name}": event(event="result", values={**RESULT, name: value})
        for name, value in FIELDS.items()
    },
    "a long line": lambda worker: worker.raw(b"A" * 5_000_000 + b"\n"),
    "a long event": lines(
        json.dumps({"event": "log", "level": "info", "message": "B" * 3_000_000})
    ),
    "no UTF-8": lambda worker: worker.raw(b'{"event": "log\xff\xfe\x00"}\n'),
    "a flood": floods,
    "nothing at all": lambda _: None,
    "an exit code": lambda worker: worker.end(77),
}
TRANSFORM: dict[str, Mode] = {
    "a view that reads a file": built(f"CREATE VIEW serving.v AS FROM {READ}"),
    "a view that tells a file by its rows": built(
        "CREATE VIEW serving.v AS SELECT 1 FROM "
        f"range((SELECT ascii(substr(content, 1, 1)) FROM {READ})::BIGINT)"
    ),
    "a view of a file by its name": named,
    "a view nobody publishes": built(
        "CREATE TABLE serving.t AS SELECT 1",
        "CREATE VIEW serving.v AS FROM glob('/**')",
        tables=("serving.t",),
    ),
    "a macro": built(
        "CREATE TABLE serving.v AS SELECT 1", f"CREATE MACRO serving.m() AS TABLE FROM {READ}"
    ),
    "a macro in an expression": built(
        "CREATE TABLE serving.v AS SELECT 1",
        f"CREATE MACRO serving.m() AS (SELECT content FROM {READ})",
    ),
    "a name for a shell": built(
        'CREATE TABLE serving."{}" AS SELECT 1'.format(LINE[8:].replace('"', '""')),
        tables=(LINE,),
    ),
    "a table that is not there": built(tables=("serving.v",)),
    "a claim to have published": claims_unpublished,
    "garbage for a database": publishes_garbage,
    "a publish before its time": publishes_early,
    "a publish for another run": publishes_for_another,
    "asks for .env": asks_raw(partition="P", file="a.env", sha256="/../../../../"),
    "asks for another source": asks_raw(source="psdonline"),
    "asks for another partition": asks_raw(partition="../../.."),
    "refuses elsewhere": refuses(partition="../..", file=".bashrc"),
    "refuses by a path": refuses(sha256="/../../../../../"),
    "an extract's message": lambda worker: (worker.ask(worker.record()), None)[1],
}
MODES = {**EXTRACT, **TRANSFORM}
