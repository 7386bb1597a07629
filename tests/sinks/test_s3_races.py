"""Many machines at once on a store that fails at random: nothing is lost, nothing is doubled."""

import hashlib
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
from fakes.s3 import Fault, S3Server
from fakes.s3_runs import Machine, machines
from materia.data import PublishRequest
from materia.errors import BusyError, SinkError
from materia_testing.contracts.sinks.raw import JANUARY, SOURCE, fetched

TABLE = "serving.runs"


class AtRandom(list[Fault]):
    """One request in eight meets a fault."""

    def __init__(self) -> None:
        super().__init__()
        self._random = random.Random(20261124)  # noqa: S311 -- a test is no lottery

    def __iter__(self) -> Iterator[Fault]:
        faults = (
            Fault(drop=True),
            Fault(drop=True, after=True),
            Fault(status=500, code="InternalError"),
            Fault(status=500, code="InternalError", after=True),
            Fault(status=503, code="SlowDown"),
            Fault(method="PUT", status=409, code="ConditionalRequestConflict"),
            Fault(method="PUT", status=412, code="PreconditionFailed"),
            Fault(cut=30),
        )
        if self._random.random() < 1 / 8:
            yield self._random.choice(faults)


def runs_of(database: Path) -> list[str]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return [row[0] for row in connection.sql(f"SELECT run FROM {TABLE}").fetchall()]


def publish(on: Machine, machine: str) -> dict[str, type[Exception] | None]:
    """Four runs, each of which adds itself, with what each raised."""
    endings: dict[str, type[Exception] | None] = {}
    for number in range(4):
        run = f"{machine} {number}"
        sink = on(machine)
        endings[run] = None
        try:
            database = sink.checkout()
            with duckdb.connect(str(database)) as connection:
                connection.execute("CREATE SCHEMA IF NOT EXISTS serving")
                connection.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} (run TEXT)")
                connection.execute(f"INSERT INTO {TABLE} VALUES ('{run}')")
            sink.publish(
                PublishRequest(run=run, database=database, tables=(TABLE,), fingerprint=run)
            )
        except (BusyError, SinkError) as error:
            endings[run] = type(error)
    return endings


def extract(on: Machine, machine: str, folder: Path) -> list[str]:
    """Eight files of one partition; the hashes of those that were kept."""
    kept = []
    for number in range(8):
        sink = on(machine)
        result = fetched(folder, JANUARY, f"{machine} {number}".encode())
        try:
            if number % 2:
                sink.known(SOURCE)
            sink.record(SOURCE, JANUARY, result)
        except (BusyError, SinkError):
            continue
        kept.append(result.raw.sha256)
    return kept


def test_many_machines_on_a_store_that_fails_at_random_lose_nothing(
    s3_server: S3Server, tmp_path: Path
) -> None:
    bucket = s3_server.new_bucket()
    on = machines(s3_server, bucket, tmp_path)
    s3_server.faults = AtRandom()
    try:
        with ThreadPoolExecutor(6) as pool:
            publishing = [pool.submit(publish, on, f"transform {number}") for number in range(3)]
            extracting = [
                pool.submit(extract, on, f"extract {number}", tmp_path / f"in {number}")
                for number in range(3)
            ]
            endings = {run: end for one in publishing for run, end in one.result().items()}
            kept = [sha256 for one in extracting for sha256 in one.result()]
    finally:
        s3_server.faults = []
    reader = on("reader")
    path = reader.published()
    assert path is not None
    runs = runs_of(path)
    word = json.loads(s3_server.content(bucket, "coffee/raw/acme/2026-01/known.json"))
    history = [file["sha256"] for file in word["files"]]

    assert len(runs) == len(set(runs)), "a run is in it twice"
    assert {run for run, end in endings.items() if end is None} <= set(runs), "a run was lost"
    assert not {run for run, end in endings.items() if end is BusyError} & set(runs)
    assert None in endings.values()
    assert len(history) == len(set(history))
    assert set(kept) <= set(history), "a file was lost"
    assert len(kept) > 12
    for file in word["files"]:
        copy = reader.find_raw(SOURCE, JANUARY.key, file["file"], file["sha256"])
        assert copy is not None
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == file["sha256"]
