"""A hostile catalog: what it answers costs no memory, no file of others and no secret."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.iceberg_catalog import IcebergCatalog, Lending
from fakes.iceberg_runs import PATIENT, Machine, Reader, build, machines, run, settings_of
from fakes.s3 import S3Server
from materia.data import PublishRequest
from materia.errors import ConfigError, MateriaError, SinkError
from materia_iceberg.keeping import Keeping

TABLE = "serving.prices"
SOME = "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS i FROM range({})"
DAYS = timedelta(days=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" " * 64_000_001, "the answer has more than 64 MB"),
        (b"[" * 200_000, "the answer is not that of an Iceberg REST catalog"),
        (b'{"overrides": {"prefix": [' + b"9" * 5000 + b"]}}", "is not that of an Iceberg"),
        (b'{"defaults": ["prefix"]}', "is not that of an Iceberg"),
        (b'{"endpoints": "POST /v1/{prefix}/transactions/commit"}', "is not that of an Iceberg"),
    ],
    ids=["endless", "deep", "a large number", "odd defaults", "odd endpoints"],
)
def test_an_answer_that_is_too_much_is_an_error(
    machine: Machine, catalog: IcebergCatalog, content: bytes, message: str
) -> None:
    catalog.altered = lambda _, __: content
    with pytest.raises(MateriaError, match=message):
        machine("one").fingerprint()


@pytest.fixture
def slow() -> Iterator[str]:
    """The address of a server that sends a byte of its answer now and then."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
            while not ended.wait(0.05):
                connection.sendall(b" ")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended.set()
    listener.close()


def test_an_answer_that_never_ends_is_an_error(
    slow: str, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    moment = timedelta(milliseconds=300)
    hasty = replace(PATIENT, request=moment, reach=moment, overall=moment)
    on = machines(settings_of(s3_server, bucket, slow), tmp_path, hasty)
    began = time.monotonic()
    with pytest.raises(SinkError, match=r"it does not answer \(the answer has no end"):
        on("one").fingerprint()

    assert time.monotonic() - began < 60, "it waits for each byte"


Change = Callable[[dict[str, Any]], None]


def changed(key: str, value: object) -> Change:
    return lambda metadata: metadata.update({key: value})


ODD = [
    changed("table-uuid", None),
    changed("location", 7),
    changed("last-column-id", "1"),
    changed("properties", ["comment"]),
    changed("refs", {"main": {}}),
    changed("snapshots", "none"),
    changed("snapshots", [{"snapshot-id": [], "timestamp-ms": 1}]),
    changed("schemas", {}),
    changed("schemas", [{"schema-id": 0, "fields": [{"id": "x", "name": "i", "type": "int"}]}]),
    changed("schemas", [{"schema-id": 0, "fields": [{"id": 1, "name": "i", "type": {}}]}]),
    changed("partition-specs", [7]),
    changed("default-spec-id", []),
    changed("current-schema-id", None),
]


def test_table_metadata_in_another_form_is_an_error(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    run(machine("one"), "1", SOME.format(1), TABLE)
    database = build(machine("one"), SOME.format(2))
    for number, change in enumerate(ODD):

        def altered(request: str, text: bytes, change: Change = change) -> bytes:
            if not request.endswith("tables/prices"):
                return text
            answer = json.loads(text)
            change(answer["metadata"])
            return json.dumps(answer).encode()

        catalog.altered = altered
        request = PublishRequest(run="2", database=database, tables=(TABLE,), fingerprint="2")
        with pytest.raises(MateriaError) as caught:
            machine("one").publish(request)
        said = str(caught.value)
        assert "is not that of an Iceberg" in said or "that materia cannot read" in said, number
    catalog.altered = lambda _, text: text
    assert machine("two").fingerprint() == "1"


@pytest.mark.parametrize("location", ["file:///etc", "s3:///serving", "https://acme/a", "s3n://"])
def test_a_table_that_is_not_in_a_bucket_is_refused(
    machine: Machine, catalog: IcebergCatalog, location: str
) -> None:
    run(machine("one"), "1", SOME.format(1), TABLE)
    catalog.tables["serving", "prices"]["location"] = location
    with pytest.raises(MateriaError):
        run(machine("one"), "2", SOME.format(2), TABLE)


def test_the_files_of_a_dropped_table_are_never_raw_files_or_databases(
    machine: Machine, s3_server: S3Server, bucket: str, catalog: IcebergCatalog
) -> None:
    both = f"{SOME.format(1)}; CREATE TABLE serving.gone AS SELECT 1 AS i"
    run(machine("one"), "1", both, TABLE, "serving.gone")
    s3_server.client().put_object(Bucket=bucket, Key="coffee/raw/2024-01.csv", Body=b"kept")
    run(machine("one"), "2", "DROP TABLE serving.gone", TABLE)
    location = f"s3://{bucket}/tables/serving/gone-"
    there, then = f"s3://{bucket}/coffee", datetime.now(UTC) - DAYS
    for one in catalog.tables["publication", "run"]["snapshots"]:
        said = json.loads(one["summary"]["materia.publication"])
        for dropped in said["dropped"]:
            assert dropped["location"].startswith(location)
            dropped |= {"location": there, "since": then.isoformat()}
        one["summary"]["materia.publication"] = json.dumps(said)
    s3_server.age(bucket, DAYS)
    before = {name for name in s3_server.names(bucket) if name.startswith("coffee/")}
    run(machine("one"), "3", SOME.format(3), TABLE)

    assert len([name for name in before if "/databases/" in name]) == 2
    assert before - set(s3_server.names(bucket)) == set()


def test_a_table_in_the_folder_of_another_table_costs_that_one_no_file(
    s3_server: S3Server, bucket: str, catalog: IcebergCatalog, reader: Reader, tmp_path: Path
) -> None:
    """Also those of a snapshot that `publication.run` no longer names, but a tag does."""
    keeping = Keeping(publications=2, together=1)
    on = machines(settings_of(s3_server, bucket, catalog.uri), tmp_path, keeping=keeping)
    other = "CREATE OR REPLACE TABLE serving.other AS SELECT {} AS i"
    run(on("one"), "1", f"{SOME.format(1)}; {other.format(1)}", TABLE, "serving.other")
    first = catalog.metadata("serving.other")["current-snapshot-id"]
    catalog.tag("serving.other", "kept", first)
    catalog.tables["serving", "prices"]["location"] = catalog.metadata("serving.other")["location"]
    for name in "234":
        s3_server.age(bucket, DAYS)
        for table in catalog.tables.values():
            for one in table["snapshots"]:
                one["timestamp-ms"] -= int(DAYS.total_seconds() * 1000)
        second = f"; {other.format(2)}" if name == "2" else ""
        run(on("one"), name, SOME.format(name) + second, TABLE, "serving.other")

    assert reader.rows("serving.other", snapshot=first) == [(1,)]
    assert reader.rows("serving.other") == [(2,)]
    assert reader.rows(TABLE) == [(0,), (1,), (2,), (3,)]
    there = {f"s3://{bucket}/{name}" for name in s3_server.names(bucket)}
    assert there >= reader.referenced("serving.other") | reader.referenced(TABLE)
    mine = reader.referenced("serving.other") | reader.referenced(TABLE)
    assert {one for one in there if "/other-" in one} <= mine, "old files of both are deleted"


def test_a_key_for_another_store_without_encryption_is_not_used(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    elsewhere = S3Server()
    catalog.lending = Lending(endpoint=elsewhere.endpoint)
    with pytest.raises(SinkError, match=r"is neither https nor sinks\.iceberg\.endpoint"):
        run(machine("one"), "1", SOME.format(1), TABLE)
    sent = elsewhere.since(0)
    elsewhere.close()

    assert sent == []
    catalog.lending = Lending(endpoint="https://user:planted@127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"s3\.endpoint of the table .* must be") as caught:
        run(machine("one"), "1", SOME.format(1), TABLE)
    assert "planted" not in str(caught.value)


def test_a_large_file_is_not_read_as_a_manifest(
    machine: Machine,
    s3_server: S3Server,
    bucket: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run(machine("one"), "1", SOME.format(1), TABLE)
    client, names = s3_server.client(), s3_server.names(bucket)
    (listed,) = [name for name in names if "serving" in name and "/snap-" in name]
    client.put_object(Bucket=bucket, Key=listed, Body=b"x" * 16_000_001)
    client.put_object(Bucket=bucket, Key=listed.replace("/snap-", "/snap-7"), Body=b"an orphan")
    s3_server.age(bucket, DAYS)
    run(machine("one"), "2", SOME.format(2), TABLE)

    assert "has 16,000,001 bytes, and this kind of file has at most" in caplog.text
    assert machine("two").fingerprint() == "2"
