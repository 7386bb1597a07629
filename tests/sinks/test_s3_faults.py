"""What the store sometimes does, and what the user is told of it."""

import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, Fault, S3Server
from fakes.s3_runs import Machine, address, machines
from materia.errors import ConfigError, MateriaError, SinkError
from materia_s3.sink import S3Sink
from materia_store.bucket.errors import explain
from materia_store.bucket.objects import PART, Objects
from materia_testing.contracts.sinks.publish import build, expected, publish_version, request
from materia_testing.contracts.sinks.raw import JANUARY, NEW, OLD, SOURCE, fetched, in_use, refused
from obstore import exceptions

PASSING = {
    "dropped": Fault(drop=True),
    "dropped when it was done": Fault(drop=True, after=True),
    "500": Fault(status=500, code="InternalError"),
    "500 when it was done": Fault(status=500, code="InternalError", after=True),
    "503": Fault(status=503, code="SlowDown", times=2),
    "429": Fault(status=429, code="TooManyRequests"),
    "never answered": Fault(seconds=1.3),
    "cut": Fault(cut=20),
}

SLOW = ("PUT published.json", r"GET \.duckdb$")


def copied(fault: Fault, method: str, name: str) -> Fault:
    return Fault(
        method=method,
        name=name,
        status=fault.status,
        code=fault.code,
        drop=fault.drop,
        after=fault.after,
        cut=fault.cut,
        seconds=fault.seconds,
        times=fault.times,
    )


@pytest.mark.parametrize("how", of_each_kind(PASSING, "500 when it was done", "cut"))
def test_a_passing_fault_of_any_request_is_not_noticed(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path, how: str
) -> None:
    on("home").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    publish_version(on("home"), 1)
    everything = [
        copied(PASSING[how], method, name)
        for method, name in (
            ("GET", "known.json"),
            ("PUT", "known.json"),
            ("PUT", "conditional-writes"),
            ("PUT", r"\.zip$"),
            ("GET", r"\.zip$"),
            ("GET", "list-type"),
            ("GET", "published.json"),
            ("PUT", "published.json"),
            ("PUT", r"\.duckdb$"),
            ("GET", r"\.duckdb$"),
        )
        # Each waits for its time-out: two are enough.
        if how != "never answered" or f"{method} {name}" in SLOW
    ]
    one, two = on("one"), on("two")
    with s3_server.failing(*everything):
        one.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, NEW, etag='"2"'))
        assert publish_version(one, 2) == expected(2)
        found = in_use(two)
        path = two.published()

    assert [fault.name for fault in everything if not fault.happened] == []
    assert found == NEW
    assert path is not None
    assert two.fingerprint() == "stamp 2"
    assert len([name for name in s3_server.names(bucket) if "/databases/" in name]) == 2


def test_a_refusal_of_what_had_no_condition_is_told(
    s3_server: S3Server, on: Machine, tmp_path: Path
) -> None:
    """AWS knows a 409 OperationAborted."""
    calls: dict[str, Callable[[], object]] = {
        "duckdb": lambda: publish_version(on("one"), 1),
        "quarantine": lambda: on("one").record(
            SOURCE, JANUARY, refused(tmp_path / "in", b"<html>")
        ),
    }
    for name, call in calls.items():
        with (
            s3_server.failing(Fault(name=name, status=409, code="OperationAborted", times=99)),
            pytest.raises(SinkError, match="answers 409 OperationAborted"),
        ):
            call()


@pytest.mark.parametrize("status", [409, 412])
def test_a_refused_condition_that_holds_after_all_is_tried_again(
    s3_server: S3Server, on: Machine, tmp_path: Path, status: int
) -> None:
    """AWS answers 409 ConditionalRequestConflict while another write is on its way."""
    faults = [
        Fault(method="PUT", name=name, status=status, code="ConditionalRequestConflict", times=2)
        for name in ("known.json", r"\.zip$", "published.json")
    ]
    with s3_server.failing(*faults):
        on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
        assert publish_version(on("one"), 1) == expected(1)

    assert all(fault.happened == 2 for fault in faults)
    assert in_use(on("two")) == OLD
    assert on("two").fingerprint() == "stamp 1"


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    of_each_kind(
        [
            ((403, "ExpiredToken"), SinkError, "has expired; set AWS_ACCESS_KEY_ID and"),
            ((400, "ExpiredToken"), SinkError, "has expired"),
            ((403, "InvalidAccessKeyId"), SinkError, "does not know the key"),
            ((403, "SignatureDoesNotMatch"), SinkError, "the secret does not belong to the key"),
            ((403, "RequestTimeTooSkewed"), SinkError, "the clock of this machine is wrong"),
            ((403, "AccessDenied"), SinkError, "needs permission to read, write, list and delete"),
            ((401, "Unauthorized"), SinkError, "needs permission"),
            ((403, "QuotaExceeded"), SinkError, "is full"),
            ((503, "SlowDown"), SinkError, r"is overloaded \(503 SlowDown\)"),
            ((500, "InternalError"), SinkError, "answers 500 InternalError"),
            ((404, "NoSuchBucket"), ConfigError, "there is no bucket"),
            ((400, "AuthorizationHeaderMalformed"), ConfigError, "is not in the region us-east-1"),
            ((301, "PermanentRedirect"), ConfigError, "is not in the region us-east-1"),
            ((501, "NotImplemented"), ConfigError, "does not support this"),
        ],
        (403, "ExpiredToken"),
        (503, "SlowDown"),
        (404, "NoSuchBucket"),
    ),
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_fault_that_stays_is_told_and_harms_nothing(  # noqa: PLR0917 -- of fixtures
    s3_server: S3Server,
    bucket: str,
    on: Machine,
    tmp_path: Path,
    fault: tuple[int, str],
    kind: type[MateriaError],
    told: str,
) -> None:
    on("home").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    publish_version(on("home"), 1)
    sink = on("one")
    database = sink.checkout()
    build(database, 2)
    status, code = fault
    calls: list[Callable[[], object]] = [
        sink.fingerprint,
        sink.published,
        lambda: on("two").known(SOURCE),
        lambda: sink.publish(request("run 2", database, 2)),
        lambda: on("two").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, NEW)),
        lambda: on("two").record(SOURCE, JANUARY, refused(tmp_path / "in", b"<html>")),
    ]
    for call in calls:
        with (
            s3_server.failing(Fault(status=status, code=code, times=10_000)),
            pytest.raises(MateriaError, match=told) as caught,
        ):
            call()
        shown = "".join(traceback.format_exception(caught.value))
        assert type(caught.value) is kind
        assert str(caught.value).startswith(f"s3://{bucket}/coffee")
        assert not [secret for secret in (KEY, SECRET) if secret in shown]

    assert on("two").fingerprint() == "stamp 1"
    assert in_use(on("two")) == OLD
    assert sink.publish(request("run 2", database, 2)) == expected(2)


def test_a_store_that_is_not_there_or_never_answers_is_told(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    here = address(s3_server, bucket)
    gone = S3Sink(
        replace(here, bucket="acme", prefix="", endpoint="http://127.0.0.1:9", region="auto"),
        key=KEY,
        secret=SECRET,
        cache=tmp_path,
        patience=QUICK,
    )
    with pytest.raises(SinkError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        gone.fingerprint()
    hasty = replace(QUICK, request=timedelta(seconds=0.2))
    silent = S3Sink(here, key=KEY, secret=SECRET, cache=tmp_path, patience=hasty)
    with (
        s3_server.failing(Fault(seconds=0.5, times=99)),
        pytest.raises(SinkError, match="did not answer in time"),
    ):
        silent.fingerprint()


def test_a_bucket_that_is_not_there_is_told_before_anything_else(
    s3_server: S3Server, tmp_path: Path
) -> None:
    on = machines(s3_server, "nowhere", tmp_path)
    for call in (on("one").fingerprint, on("one").checkout, lambda: on("one").known(SOURCE)):
        with pytest.raises(ConfigError, match="there is no bucket nowhere at http"):
            call()


def test_a_key_of_another_store_is_told(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    sink = S3Sink(
        address(s3_server, bucket), key="AKIAOTHER", secret=SECRET, cache=tmp_path, patience=QUICK
    )
    with pytest.raises(SinkError, match="does not know the key; set AWS_ACCESS_KEY_ID and"):
        sink.fingerprint()


def test_a_store_that_ignores_conditions_is_refused_before_anything_is_written(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path
) -> None:
    s3_server.ignores_conditions = True
    try:
        with pytest.raises(ConfigError, match="ignores If-Match or If-None-Match"):
            on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
        with pytest.raises(ConfigError, match="ignores If-Match or If-None-Match"):
            publish_version(on("one"), 1)
    finally:
        s3_server.ignores_conditions = False

    assert [name for name in s3_server.names(bucket) if name.endswith((".json", ".zip"))] == []
    assert publish_version(on("two"), 1) == expected(1)


def test_a_large_download_that_breaks_off_anywhere_is_whole_or_not_there(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    objects = Objects(address(s3_server, bucket), key=KEY, secret=SECRET, patience=QUICK)
    content = bytes(range(251)) * ((PART + 1000) // 251)
    (tmp_path / "file").write_bytes(content)
    objects.upload("file", tmp_path / "file")
    with s3_server.failing(Fault(method="GET", cut=100_000), Fault(method="GET", drop=True)):
        assert objects.download("file", tmp_path / "again")

    assert (tmp_path / "again").read_bytes() == content
    assert not objects.download("nothing", tmp_path / "nothing")
    with (
        s3_server.failing(Fault(method="GET", cut=100_000, times=99)),
        pytest.raises(SinkError, match=r"coffee/file: cannot be read: .*run again"),
    ):
        objects.download("file", tmp_path / "never")


@pytest.mark.parametrize(
    "error",
    [
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, exceptions.BaseError)
    ],
    ids=lambda kind: kind.__name__,
)
def test_every_error_of_the_client_has_a_sentence(
    s3_server: S3Server, error: type[Exception]
) -> None:
    told = explain(error("words"), address(s3_server, "acme"), "be read", "x")

    assert isinstance(told, SinkError)
    assert str(told).startswith("s3://acme/coffee/x: cannot be read: ")
