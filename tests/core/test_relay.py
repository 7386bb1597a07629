"""What a worker and the sink at home say to one another; the machines are in test_remote."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from materia.data import (
    Absent,
    Fetched,
    FetchResult,
    Partition,
    PublishRequest,
    RawFile,
    Refused,
    Unchanged,
)
from materia.errors import BusyError, SinkError
from materia.protocols import Sink
from materia_duckdb.sink import DuckDBSink
from materia_runner.execution.sink_server import SinkServer
from materia_runner.messages import sink_messages as relay_messages
from materia_runner.messages.sink_messages import (
    AtHome,
    Record,
)
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.ssh.session import Session
from materia_runner.worker.sink_proxy import Home, RelayedSink


class OneMachine:
    """A session to a worker that is this very machine: lines and files go straight through."""

    def __init__(self) -> None:
        self.home: Home | None = None
        self.files = 0
        self.damage = False

    def tell(self, line: str) -> None:
        assert self.home is not None
        self.home.answered(line)

    def upload(self, path: Path, destination: str, *, sha256: str) -> None:
        self._copy(path, Path(destination), sha256)

    def download(self, source: str, path: Path, *, sha256: str, most: int) -> None:
        assert Path(source).stat().st_size <= most
        self._copy(Path(source), path, sha256)

    def _copy(self, source: Path, target: Path, sha256: str) -> None:
        self.files += 1
        assert hashlib.sha256(source.read_bytes()).hexdigest() == sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def request(folder: Path, stage: str) -> WorkerRequest:
    return WorkerRequest(
        run="r1",
        stage=stage,
        pipeline="acme",
        sources=("acme",),
        sink="duckdb",
        settings={"source": {"acme": {}}, "sink": {"duckdb": {}}},
        secrets={"source": {"acme": {}}, "sink": {"duckdb": {}}},
        directory=folder,
        workspace=folder,
    )


class Pair:
    """A sink at home, and the same as a worker sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("passing", "there/work"):
            (folder / name).mkdir(parents=True)
        self.real = DuckDBSink(database=folder / "home" / "materia.duckdb", raw=folder / "raw")
        (folder / "home").mkdir()
        self.session = OneMachine()
        self.relayed = self.seen_by_a_worker()

    def seen_by_a_worker(self, kept: str = "kept", *, spare: float = 0.0) -> RelayedSink:
        relays = {
            stage: SinkServer(
                cast("Session", self.session),
                self.real,
                request=request(self.folder, stage),
                partitions={"acme": {"2026-01", "2026-02"}},
                folder=self.folder / "passing",
                stage=self.folder / "there",
                kept=self.folder / kept,
            )
            for stage in ("extract", "transform")
        }

        def write(line: str) -> None:
            found = relay_messages.decode(line)
            assert found is not None
            if isinstance(found[1], Record):
                relays[
                    "transform"
                ]._known.clear()  # in a run, the next stage has a relay of its own
            stage = "extract" if isinstance(found[1], Record) else "transform"
            relays[stage].obey(*found)

        self.session.home = Home(write)
        at_home = AtHome(known={"acme": self.real.known("acme")}, kept=self.folder / kept)
        return RelayedSink(
            self.session.home, at_home, workspace=self.folder / "there" / "work", spare=spare
        )

    def fetched(self, key: str, content: str) -> Fetched:
        folder = self.folder / "fetched"
        folder.mkdir(exist_ok=True)
        path = folder / "prices.csv"
        path.write_text(content)
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        raw = RawFile(
            partition=key,
            file="prices.csv",
            url="https://acme.example",
            sha256=sha256,
            content=sha256,
            size=len(content),
            etag=sha256[:4],
            last_modified=None,
            fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return Fetched(raw=raw, path=path)


@contextmanager
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory() as folder:
        yield Pair(Path(folder))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["fetched", "unchanged", "absent", "refused", "refused file", "refuse"]),
        st.sampled_from(["2026-01", "2026-02"]),
        st.sampled_from(["old", "new"]),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_a_relayed_sink_knows_and_keeps_what_the_sink_itself_does(
    steps: list[tuple[str, str, str]],
) -> None:
    with pair() as relayed, pair() as direct:
        for step in steps:
            outcomes = []
            for one, sink in ((relayed, relayed.relayed), (direct, direct.real)):
                try:
                    _take(one, cast("Sink", sink), *step)
                    outcomes.append("")
                except SinkError as error:
                    outcomes.append(str(error).replace(str(one.folder), ""))
            assert outcomes[0] == outcomes[1]

            assert _facts(relayed.relayed.known("acme")) == _facts(direct.real.known("acme"))
            assert _facts(relayed.real.known("acme")) == _facts(direct.real.known("acme"))
        assert _contents(relayed.relayed) == _contents(direct.real)
        assert _contents(relayed.real) == _contents(direct.real)
        # A worker that has nothing yet is sent it.
        assert _contents(relayed.seen_by_a_worker("elsewhere")) == _contents(direct.real)
        assert list((relayed.folder / "passing").iterdir()) == []


def _take(pair: Pair, sink: Sink, what: str, key: str, content: str) -> None:
    partition = Partition(key=key, url="https://acme.example", file="prices.csv")
    result: FetchResult = pair.fetched(key, content)
    match what:
        case "refuse":
            assert isinstance(result, Fetched)
            return sink.refuse("acme", result.raw, "cannot be loaded")
        case "unchanged":
            result = Unchanged(etag="newer", last_modified="later")
        case "absent":
            result = Absent()
        case "refused":
            result = Refused(reason="bad", etag="e", last_modified=None, path=None)
        case "refused file":
            assert isinstance(result, Fetched)
            result = Refused(reason="bad", etag="e", last_modified=None, path=result.path)
    return sink.record("acme", partition, result)


def _facts(known: Any) -> dict[str, object]:
    return {key: (one.url, one.raw, one.etag, one.refused) for key, one in known.items()}


def _contents(sink: DuckDBSink | RelayedSink) -> dict[str, str]:
    found = {}
    for key, one in sink.known("acme").items():
        if one.raw is not None:
            path = sink.find_raw("acme", key, one.raw.file, one.raw.sha256)
            found[key] = "lost" if path is None else path.read_text()
    return found


def test_a_file_that_an_extract_left_on_the_machine_is_not_sent_there() -> None:
    with pair() as both:
        fetched = both.fetched("2026-01", "old")
        partition = Partition(key="2026-01", url="https://acme.example", file="prices.csv")
        both.relayed.record("acme", partition, fetched)
        before = both.session.files
        raw = fetched.raw

        assert both.relayed.find_raw("acme", "2026-01", raw.file, raw.sha256) is not None
        assert both.relayed.find_raw("acme", "2026-01", raw.file, "0" * 64) is None
        later = both.seen_by_a_worker()
        assert later.find_raw("acme", "2026-01", raw.file, raw.sha256) is not None
        assert both.session.files == before


def test_a_file_that_home_has_makes_room_on_a_disk_that_is_nearly_full() -> None:
    with pair() as both:
        sink = both.seen_by_a_worker(spare=1.1)  # no disk has so much to spare
        partition = Partition(key="2026-01", url="https://acme.example", file="prices.csv")
        fetched = both.fetched("2026-01", "old")
        sink.record("acme", partition, fetched)
        assert not (both.folder / "kept" / fetched.raw.sha256).exists()

        found = sink.find_raw("acme", "2026-01", fetched.raw.file, fetched.raw.sha256)
        assert found is not None
        assert found.read_text() == "old"


def _add_table(database: Path, *, rows: int, closed: bool = True) -> None:
    import duckdb

    with duckdb.connect(database) as connection:
        if not closed:  # the log stays, as when a process is killed
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
            connection.execute("PRAGMA wal_autocheckpoint = '1TB'")
        connection.execute("CREATE SCHEMA IF NOT EXISTS serving")
        connection.execute(f"CREATE OR REPLACE TABLE serving.t AS FROM range({rows})")


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "with its log"])
def test_a_database_finished_by_a_worker_is_published_at_home(*, closed: bool) -> None:
    with pair() as both:
        sink = both.relayed
        assert (sink.fingerprint(), sink.published()) == (None, None)
        database = sink.checkout()
        _add_table(database, rows=3, closed=closed)
        assert closed != database.with_name(f"{database.name}.wal").exists()
        request = PublishRequest(
            run="r1", database=database, tables=("serving.t",), fingerprint="s1"
        )
        (table,) = sink.publish(request)

        assert (table.name, table.rows) == ("serving.t", 3)
        assert both.real.fingerprint() == "s1"
        assert sink.published() == both.real.published()
        # Once more, with what is published to start from.
        again = both.seen_by_a_worker()
        database = again.checkout()
        published = again.published()
        assert published is not None
        assert published != both.real.published()
        assert published.read_bytes() == database.read_bytes()


def test_the_lock_at_home_is_held_from_checkout_to_publish() -> None:
    with pair() as both:
        database = both.relayed.checkout()
        other = DuckDBSink(
            database=both.folder / "home" / "materia.duckdb", raw=both.folder / "raw"
        )
        with pytest.raises(BusyError, match="locked by another materia process"):
            other.checkout()
        # The same sink serves the next attempt of the same run.
        database = both.seen_by_a_worker().checkout()
        _add_table(database, rows=1)
        del both.real, both.relayed, both.session.home
        assert other.checkout().exists()


def test_an_old_log_beside_the_copy_at_home_is_not_applied_to_what_comes() -> None:
    with pair() as both:
        database = both.relayed.checkout()
        at_home = both.folder / "home" / ".materia.duckdb.work" / "materia.duckdb"
        _add_table(at_home, rows=9, closed=False)
        assert at_home.with_name("materia.duckdb.wal").exists()
        _add_table(database, rows=2)
        request = PublishRequest(
            run="r1", database=database, tables=("serving.t",), fingerprint="s1"
        )

        assert [table.rows for table in both.relayed.publish(request)] == [2]
