"""Faults of an Iceberg REST catalog: retries, lost answers, error messages, no secret in them."""

import logging
import time
import traceback
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.iceberg_catalog import AT_ONCE, IN_ORDER, LENT, TOKEN, IcebergCatalog, Lending
from fakes.iceberg_runs import BUCKET_KEY, PATIENT, Machine, Reader, machines, run, settings_of
from fakes.s3 import KEY, SECRET, Fault, S3Server
from materia.errors import BusyError, ConfigError, MateriaError, SinkError
from materia_iceberg.settings import read_settings
from materia_iceberg.sink import IcebergSink

TABLE = "serving.prices"
SOME = "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS i FROM range({})"
PASSING = {
    "dropped": Fault(drop=True),
    "dropped when it was done": Fault(drop=True, after=True),
    "500": Fault(status=500, code="boom"),
    "500 when it was done": Fault(status=500, code="boom", after=True),
    "502 when it was done": Fault(status=502, code="boom", after=True),
    "504": Fault(status=504, code="boom"),
    "429": Fault(status=429, code="slow", times=2),
    "503": Fault(status=503, code="slow", times=2),
}
QUESTIONS = [
    ("GET", "/v1/config$"),
    ("GET", "tables/run$"),
    ("GET", "serving/tables$"),
    ("POST", "/namespaces$"),
    ("POST", "/tables$"),
]
REQUESTS = {
    AT_ONCE: [*QUESTIONS, ("POST", "transactions/commit$")],
    IN_ORDER: [
        *QUESTIONS,
        ("POST", "tables/run$"),
        ("POST", "tables/prices$"),
        ("POST", "tables/run$"),
    ],
}


@pytest.mark.parametrize("how", PASSING)
def test_any_request_is_retried_after_a_temporary_fault(
    machine: Machine, catalog: IcebergCatalog, reader: Reader, kind: str, how: str
) -> None:
    faults = [replace(PASSING[how], method=one, name=name) for one, name in REQUESTS[kind]]
    # Without multi-table commits, `publication.run` is committed twice; its state `publishing` once
    # more, unless the catalog has applied it already.
    faults[-1].skip = int(kind == IN_ORDER and not faults[-1].after)
    with catalog.failing(*faults):
        run(machine("one"), "1", SOME.format(3), TABLE)

    assert [fault.name for fault in faults if not fault.happened] == []
    assert machine("two").fingerprint() == "1"
    assert reader.rows(TABLE, snapshot=reader.published()[TABLE]) == [(0,), (1,), (2,)]
    assert len(catalog.metadata(TABLE)["snapshots"]) == 1, "it was published twice"


def test_loading_a_published_table_is_retried_after_a_temporary_fault(
    machine: Machine, catalog: IcebergCatalog
) -> None:
    run(machine("one"), "1", SOME.format(3), TABLE)
    late = Fault(method="GET", name="tables/prices$", status=503, code="slow", times=2)
    with catalog.failing(late):
        run(machine("one"), "2", SOME.format(3), TABLE)

    assert late.happened == 2
    assert len(catalog.metadata(TABLE)["snapshots"]) == 1


@pytest.mark.usefixtures("kind")
def test_an_applied_commit_without_an_answer_is_recognised(
    s3_server: S3Server, bucket: str, catalog: IcebergCatalog, tmp_path: Path
) -> None:
    hasty = replace(PATIENT, request=timedelta(seconds=2), overall=timedelta(seconds=60))
    on = machines(settings_of(s3_server, bucket, catalog.uri), tmp_path, hasty)
    late = Fault(
        method="POST", name="commit$|tables/prices$", after=True, act=lambda: time.sleep(5)
    )
    with catalog.failing(late):
        run(on("one"), "1", SOME.format(3), TABLE)

    assert late.happened
    assert len(catalog.metadata(TABLE)["snapshots"]) == 1
    assert on("two").fingerprint() == "1"


@pytest.mark.parametrize(
    ("status", "kind_of_error", "message"),
    [
        (401, SinkError, "it refuses the token .*; set ICEBERG_TOKEN to a token of this catalog"),
        (403, SinkError, "the token lacks permission"),
        (400, SinkError, "it answers 400"),
        (
            500,
            SinkError,
            "it answers 500 .*; run again: the files and tables already kept are unharmed",
        ),
        (503, SinkError, "it answers 503"),
        (301, SinkError, "it answers 301"),
    ],
)
def test_a_lasting_fault_is_an_error_without_the_token(
    machine: Machine,
    catalog: IcebergCatalog,
    status: int,
    kind_of_error: type[MateriaError],
    message: str,
) -> None:
    run(machine("home"), "0", SOME.format(1), TABLE)
    for call in (
        lambda: machine("one").fingerprint(),
        lambda: machine("one").published(),
        lambda: run(machine("one"), "1", SOME.format(2), TABLE),
    ):
        with (
            catalog.failing(Fault(status=status, code="boom", times=10_000)),
            pytest.raises(MateriaError, match=message) as caught,
        ):
            call()
        shown = "".join(traceback.format_exception(caught.value))
        assert type(caught.value) is kind_of_error or isinstance(caught.value, kind_of_error)
        assert str(caught.value).startswith(catalog.uri)
        assert "***" in str(caught.value), "the answer did not hold the token"
        assert not [secret for secret in (TOKEN, KEY, SECRET) if secret in shown]

    assert machine("two").fingerprint() == "0"


@pytest.mark.parametrize("status", of_each_kind([500, 409, 403], 409))
@pytest.mark.usefixtures("kind")
def test_a_refused_commit_changes_nothing_and_the_next_run_publishes(
    machine: Machine, catalog: IcebergCatalog, reader: Reader, status: int
) -> None:
    run(machine("home"), "0", SOME.format(1), TABLE)
    fault = Fault(method="POST", name="commit$|tables/run$", status=status, code="no", times=999)
    kind_of_error = BusyError if status == 409 else SinkError
    with catalog.failing(fault), pytest.raises(kind_of_error):
        run(machine("one"), "1", SOME.format(2), TABLE)
    assert machine("two").fingerprint() == "0"
    assert reader.rows(TABLE, snapshot=reader.published()[TABLE]) == [(0,)]

    run(machine("one"), "2", SOME.format(2), TABLE)
    assert reader.rows(TABLE) == [(0,), (1,)]


def test_a_token_of_another_catalog_is_an_error(
    s3_server: S3Server, bucket: str, catalog: IcebergCatalog, tmp_path: Path
) -> None:
    defaults = {"account": None, "region": None, "namespace_prefix": "", "tables": ("serving",)}
    settings = {**defaults, **settings_of(s3_server, bucket, catalog.uri)}
    read = read_settings(settings, token="another", key=BUCKET_KEY)  # noqa: S106 -- of a test
    with pytest.raises(SinkError, match="it refuses the token"):
        IcebergSink(read, cache=tmp_path, patience=PATIENT).fingerprint()


@pytest.mark.parametrize(
    ("uri", "warehouse", "kind_of_error", "message"),
    [
        ("{}", "sea", ConfigError, "there is no such catalog or warehouse"),
        ("{}/nowhere", "lake", ConfigError, "there is no such catalog or warehouse"),
        ("http://127.0.0.1:9", "lake", SinkError, "it does not answer"),
    ],
)
def test_a_missing_catalog_is_an_error(  # noqa: PLR0917 -- of fixtures and parameters
    s3_server: S3Server,
    bucket: str,
    catalog: IcebergCatalog,
    tmp_path: Path,
    uri: str,
    warehouse: str,
    kind_of_error: type[MateriaError],
    message: str,
) -> None:
    settings = settings_of(s3_server, bucket, uri.format(catalog.uri), warehouse)
    with pytest.raises(kind_of_error, match=message):
        machines(settings, tmp_path)("one").fingerprint()


def test_a_server_that_is_no_catalog_is_an_error(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    settings = settings_of(s3_server, bucket, s3_server.endpoint)
    with pytest.raises(MateriaError, match="cannot read its configuration"):
        machines(settings, tmp_path)("one").fingerprint()


def test_vended_credentials_are_used_and_renewed_before_they_expire(
    s3_server: S3Server, machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    catalog.lending = Lending()
    s3_server.tokens.clear()  # those of the tests before
    run(machine("one"), "1", SOME.format(3), TABLE)
    lasting = {token for token in s3_server.tokens if token.startswith(LENT)}
    catalog.lending = Lending(seconds=30)
    s3_server.tokens.clear()
    run(machine("one"), "2", SOME.format(4), TABLE)
    short = {token for token in s3_server.tokens if token.startswith(LENT)}

    assert len(lasting) == 2, "one for each table"
    assert len(short) > 2
    assert len(reader.rows(TABLE)) == 4


def test_vended_credentials_that_expire_before_their_first_use_are_renewed(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    catalog.lending = Lending(seconds=30)
    run(machine("one"), "1", SOME.format(3), TABLE)
    created = catalog.requests.index("POST /v1/acme/namespaces/serving/tables")
    committed = catalog.requests.index("POST /v1/acme/transactions/commit")

    table = "GET /v1/acme/namespaces/serving/tables/prices"
    assert catalog.requests[created:committed].count(table) == 3, "one for each file"
    assert len(reader.rows(TABLE)) == 3


@pytest.mark.parametrize(
    "ends", of_each_kind(["9" * 18, "9" * 400, "soon", "²", "-1"], "9" * 400, "soon")
)
def test_vended_credentials_with_an_odd_time_of_expiry_are_used(
    machine: Machine, catalog: IcebergCatalog, reader: Reader, ends: str
) -> None:
    catalog.lending = Lending(milliseconds=ends)
    run(machine("one"), "1", SOME.format(3), TABLE)

    assert len(reader.rows(TABLE)) == 3


def test_no_secret_is_stored_or_logged(  # noqa: PLR0917 -- of fixtures
    s3_server: S3Server,
    bucket: str,
    machine: Machine,
    catalog: IcebergCatalog,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    catalog.lending = Lending()
    sink = machine("one")
    run(sink, "1", SOME.format(3), TABLE)
    logged = caplog.text
    here = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    there = [s3_server.content(bucket, name) for name in s3_server.names(bucket)]
    tables = repr(catalog.tables).encode()

    assert here
    assert len(there) >= 7
    for secret in (TOKEN, KEY, SECRET, LENT):
        assert not [1 for content in (*here, *there, tables) if secret.encode() in content]
        assert secret not in repr(vars(sink))
        assert secret not in logged


def test_files_that_cannot_be_deleted_are_only_a_warning(
    machine: Machine, catalog: IcebergCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    run(
        machine("one"),
        "1",
        f"{SOME.format(3)}; CREATE TABLE serving.gone AS SELECT 1",
        TABLE,
        "serving.gone",
    )
    with catalog.failing(Fault(method="DELETE", status=403, code="no", times=99)):
        run(machine("one"), "2", "DROP TABLE serving.gone", TABLE)
    (record,) = [one for one in caplog.records if one.name == "materia.sinks.iceberg"]

    assert "unused files could not all be deleted" in record.getMessage()
    assert machine("two").fingerprint() == "2"


def test_a_damaged_manifest_list_is_only_a_warning_after_the_publication(
    s3_server: S3Server,
    bucket: str,
    machine: Machine,
    catalog: IcebergCatalog,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run(machine("one"), "1", SOME.format(1), TABLE)
    (first,) = catalog.metadata(TABLE)["snapshots"]
    refused = Fault(method="POST", name="commit$", status=403, code="no", times=9)
    with catalog.failing(refused), pytest.raises(SinkError):
        run(machine("dead"), "dead", SOME.format(2), TABLE)
    s3_server.age(bucket, timedelta(days=2))
    place = first["manifest-list"].removeprefix(f"s3://{bucket}/")
    s3_server.client().put_object(Bucket=bucket, Key=place, Body=b"theirs")
    run(machine("one"), "2", SOME.format(3), TABLE)
    messages = [one.getMessage() for one in caplog.records if one.name == "materia.sinks.iceberg"]

    assert len(messages) == 1
    assert "the publication is complete" in messages[0]
    assert machine("two").fingerprint() == "2"
