"""Publishing tables atomically: the second half of `SinkContract`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from materia.data import PublishRequest, Table
from materia.errors import BusyError, SinkError
from materia.protocols import Sink

from materia_testing.contracts.contract import Contract
from materia_testing.contracts.crash import Elsewhere, elsewhere, kill_points, tell
from materia_testing.contracts.opened import Declared

TABLES = ("serving.prices", "serving.totals")
KILLS = 24
TIMED_KILLS = 6
# The tables in version N: N * ROWS prices, and their number in the totals.
ROWS = 1000
Reading = Callable[[Sink], tuple[int, int] | None]


def build(database: Path, version: int) -> None:
    """Build the tables of a version in a working copy, as a transform does."""
    import duckdb

    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS serving")
        connection.execute(
            "CREATE OR REPLACE TABLE serving.prices AS "
            f"SELECT range AS price, {version} AS version FROM range({version * ROWS})"
        )
        connection.execute(
            "CREATE OR REPLACE VIEW serving.totals AS SELECT count(*) AS n FROM serving.prices"
        )
        connection.execute("COMMENT ON TABLE serving.prices IS 'Prices, one row each.'")
        connection.execute("COMMENT ON VIEW serving.totals IS 'How many there are.'")


def request(run: str, database: Path, version: int) -> PublishRequest:
    """The request that publishes a version."""
    return PublishRequest(run=run, database=database, tables=TABLES, fingerprint=f"stamp {version}")


def publish_version(sink: Sink, version: int, *, run: str | None = None) -> tuple[Table, ...]:
    """A whole run: check out, build, publish."""
    database = sink.checkout()
    build(database, version)
    return tuple(sink.publish(request(run or f"run {version}", database, version)))


def expected(version: int) -> tuple[Table, ...]:
    """The result of publishing a version."""
    return (
        Table(name=TABLES[0], rows=version * ROWS, description="Prices, one row each."),
        Table(name=TABLES[1], rows=1, description="How many there are."),
    )


def publish_elsewhere(declared: Declared, version: int) -> tuple[Table, ...]:
    """A whole run, in a newly opened sink."""
    return publish_version(declared.open(), version)


def only_publish_elsewhere(declared: Declared, version: int) -> None:
    """The last step of a run whose earlier steps ran in a dead process."""
    sink = declared.open()
    database = sink.checkout()
    sink.publish(request(f"run {version}", database, version))


def build_elsewhere(declared: Declared, version: int) -> None:
    """A run that builds its tables and dies."""
    build(declared.open().checkout(), version)


def hold_elsewhere(declared: Declared) -> None:
    """A slow run."""
    sink = declared.open()
    sink.checkout()
    tell("checked out")


def read_duckdb(path: Path) -> tuple[int, int]:
    """The two published tables in one transaction: number of prices, and the total."""
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        connection.begin()
        row = connection.execute(
            "SELECT (SELECT count(*) FROM serving.prices), (SELECT n FROM serving.totals)"
        ).fetchone()
        assert row is not None
        return row[0], row[1]


class PublishContract(Contract):
    """The promises of `fingerprint`, `published`, `checkout` and `publish`."""

    section = "a-sink"

    module: str
    package: str = ""

    @pytest.fixture
    def reading(self) -> Reading:
        """A function that reads `serving.prices` and `serving.totals`: the numbers of rows."""

        def read(sink: Sink) -> tuple[int, int] | None:
            path = sink.published()
            return None if path is None else read_duckdb(path)

        return read

    def test_nothing_is_published_at_first(self, sink: Sink, reading: Reading) -> None:
        """It makes an empty database when it is opened."""
        assert sink.fingerprint() is None
        assert sink.published() is None
        assert reading(sink) is None

    def test_the_first_working_copy_is_an_empty_database(self, sink: Sink) -> None:
        """It creates tables of its own in the working copy."""
        import duckdb

        database = sink.checkout()
        with duckdb.connect(str(database)) as connection:
            tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()

        assert tables == []
        assert sink.fingerprint() is None

    def test_publish_returns_its_tables_in_order_with_rows_and_description(
        self, sink: Sink, declared: Declared, reading: Reading
    ) -> None:
        """It sorts the tables, or does not read their comments."""
        assert publish_version(sink, 1) == expected(1)
        for asked in (sink, declared.open()):
            assert asked.fingerprint() == "stamp 1"
            assert reading(asked) == (ROWS, ROWS)

    def test_a_working_copy_starts_from_what_is_published_and_is_private(
        self, sink: Sink, declared: Declared, reading: Reading
    ) -> None:
        """It gives the published file itself, or an empty one."""
        import duckdb

        publish_version(sink, 1)
        database = sink.checkout()
        with duckdb.connect(str(database)) as connection:
            found = connection.execute("SELECT count(*) FROM serving.prices").fetchone()
        build(database, 2)

        assert found == (ROWS,)
        assert reading(declared.open()) == (ROWS, ROWS)
        assert declared.open().fingerprint() == "stamp 1"

    def test_the_next_run_replaces_what_was_published(self, sink: Sink, reading: Reading) -> None:
        """It keeps the fingerprint that it once read."""
        publish_version(sink, 1)

        assert publish_version(sink, 2) == expected(2)
        assert sink.fingerprint() == "stamp 2"
        assert reading(sink) == (2 * ROWS, 2 * ROWS)

    def test_publishing_the_same_run_twice_changes_nothing(
        self, sink: Sink, declared: Declared, reading: Reading
    ) -> None:
        """It does not compare `request.run` with the run that is published."""
        database = sink.checkout()
        build(database, 1)
        asked = request("run 1", database, 1)
        first = tuple(sink.publish(asked))
        path = sink.published()
        assert path is not None
        before = path.stat()

        for again in (sink, declared.open()):
            assert tuple(again.publish(asked)) == first
        after = path.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert sink.fingerprint() == "stamp 1"
        assert reading(sink) == (ROWS, ROWS)

    def test_a_missing_table_publishes_none_of_them(self, sink: Sink, reading: Reading) -> None:
        """It publishes the tables that are there."""
        publish_version(sink, 1)
        database = sink.checkout()
        build(database, 2)
        asked = PublishRequest(
            run="run 2", database=database, tables=(*TABLES, "serving.gone"), fingerprint="stamp 2"
        )
        with pytest.raises(SinkError, match=r"serving\.gone"):
            sink.publish(asked)

        assert sink.fingerprint() == "stamp 1"
        assert reading(sink) == (ROWS, ROWS)

    def test_killed_before_any_line_of_publishing_readers_have_the_old_state_or_the_new(
        self, declared: Declared, reading: Reading
    ) -> None:
        """It publishes in two steps, the tables and their fingerprint."""
        publish_version(declared.open(), 1)
        elsewhere(build_elsewhere, declared, 2)
        whole = elsewhere(only_publish_elsewhere, declared, 2, package=self.package or self.module)
        assert whole.lines > 0, f"no line of {self.module} ran"
        now, seen = 2, set()
        for point in kill_points(whole.lines, at_most=KILLS):
            elsewhere(build_elsewhere, declared, now + 1)
            ending = elsewhere(
                only_publish_elsewhere,
                declared,
                now + 1,
                package=self.package or self.module,
                kill_before=point,
            )
            found = _state(declared, reading)
            seen.add(found == now)

            assert found in {now, now + 1}
            assert ending.killed or found == now + 1
            # The next run starts from the current state, whatever that is, and completes.
            now += 2
            assert publish_version(declared.open(), now) == expected(now)
            assert _state(declared, reading) == now

        assert True in seen, "no kill came before the new state was there"

    def test_killed_at_any_moment_readers_have_the_old_state_or_the_new(
        self, declared: Declared, reading: Reading
    ) -> None:
        """It publishes in two steps, the tables and their fingerprint."""
        publish_version(declared.open(), 1)
        started = time.monotonic()
        assert elsewhere(publish_elsewhere, declared, 2).value == expected(2)
        seconds = time.monotonic() - started
        now = 2
        for index in range(TIMED_KILLS):
            running = Elsewhere(publish_elsewhere, declared, now + 1)
            time.sleep(seconds * (index + 1) / (TIMED_KILLS + 1))
            running.kill()
            found = _state(declared, reading)

            assert found in {now, now + 1}
            now += 2
            assert publish_version(declared.open(), now) == expected(now)
            assert _state(declared, reading) == now

    def test_a_working_copy_that_a_killed_run_left_is_continued(self, declared: Declared) -> None:
        """It makes a new working copy each time."""
        import duckdb

        publish_version(declared.open(), 1)
        build_elsewhere_and_die(declared)
        database = declared.open().checkout()
        with duckdb.connect(str(database)) as connection:
            found = connection.execute("SELECT count(*) FROM serving.prices").fetchone()

        assert found == (2 * ROWS,)

    def test_a_second_run_is_refused_with_the_name_of_the_first(
        self, declared: Declared, reading: Reading
    ) -> None:
        """It takes no lock in `checkout`, or the message has no process id."""
        publish_version(declared.open(), 1)
        first = Elsewhere(hold_elsewhere, declared)
        assert first.receive() == "checked out"
        with pytest.raises(BusyError, match=str(first.pid)):
            declared.open().checkout()
        assert reading(declared.open()) == (ROWS, ROWS), "reading needs no lock"
        first.kill()

        assert publish_version(declared.open(), 2) == expected(2)

    def test_of_runs_at_the_same_time_one_publishes_and_the_others_are_refused(
        self, declared: Declared, reading: Reading
    ) -> None:
        """It takes the lock only in `publish`."""
        publish_version(declared.open(), 1)
        running = [Elsewhere(publish_elsewhere, declared, version) for version in (2, 3, 4)]
        endings = [one.ending() for one in running]
        published = [ending.value for ending in endings if ending.error is None]
        refused = [ending.error for ending in endings if ending.error is not None]

        assert published
        assert all(isinstance(error, BusyError) for error in refused), refused
        assert expected(_state(declared, reading)) in published

    def test_readers_see_one_state_at_a_time_while_runs_publish(
        self, declared: Declared, reading: Reading
    ) -> None:
        """It replaces its files one after the other."""
        publish_version(declared.open(), 1)
        seen: list[tuple[int, int] | None] = []
        stop = threading.Event()
        faults: list[BaseException] = []

        def read() -> None:
            sink = declared.open()
            try:
                while not stop.is_set():
                    seen.append(reading(sink))
            except BaseException as error:  # noqa: BLE001 -- reported below, in the test's own thread
                faults.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for version in range(2, 6):
                assert elsewhere(publish_elsewhere, declared, version).value == expected(version)
        finally:
            stop.set()
            reader.join()

        assert faults == []
        assert len(seen) > 1
        assert set(seen) <= {(n * ROWS, n * ROWS) for n in range(1, 6)}

    def test_a_full_disk_is_told_and_harms_nothing_published(
        self, declared: Declared, reading: Reading
    ) -> None:
        """It writes into what is published, or lets an OSError through."""
        publish_version(declared.open(), 1)
        refused = 0
        for limit in (0, 4096, 65536, 400_000):
            ending = elsewhere(_fill_elsewhere, declared, 2, file_size_limit=limit)
            if ending.error is not None:
                assert isinstance(ending.error, SinkError), repr(ending.error)
                refused += 1
                assert _state(declared, reading) == 1
        assert refused, "no write failed, so nothing was tested"

        assert publish_version(declared.open(), 2) == expected(2)
        assert _state(declared, reading) == 2


def build_elsewhere_and_die(declared: Declared) -> None:
    """Build version 2 in a process that is killed before it publishes."""
    running = Elsewhere(_build_and_wait, declared, 2)
    assert running.receive() == "built"
    running.kill()


def _build_and_wait(declared: Declared, version: int) -> None:
    sink = declared.open()
    build(sink.checkout(), version)
    tell("built")


def _fill_elsewhere(declared: Declared, version: int) -> None:
    import duckdb

    sink = declared.open()
    database = sink.checkout()
    try:
        build(database, version)
    except duckdb.Error as error:
        raise SinkError(f"the transform itself met the full disk: {error}") from error
    sink.publish(request(f"run {version}", database, version))


def _state(declared: Declared, reading: Reading) -> int:
    """The version that a reader finds; its tables and its fingerprint agree."""
    sink = declared.open()
    found = reading(sink)
    assert found is not None
    version, rest = divmod(found[0], ROWS)
    assert (rest, found[1]) == (0, found[0])
    assert sink.fingerprint() == f"stamp {version}"
    return version
