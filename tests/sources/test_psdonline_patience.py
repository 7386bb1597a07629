"""Over HTTP: how often a server is asked, and how long it is waited for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from fakes.psd_november import ARCHIVE, NOVEMBER, Fetch
from fakes.psd_world import asked, known_from
from fakes.usda import Fault, UsdaServer
from materia.data import Fetched, FetchRequest, Known
from materia.errors import SourceError
from materia_http.download import Patience
from materia_psdonline.source import PsdOnline


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_recovers_is_asked_again(usda: UsdaServer, fetch: Fetch, status: int) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="status", status=status, times=3))

    assert isinstance(fetch(), Fetched)
    assert [request.status for request in usda.requests] == [status, status, status, 200]


def test_a_server_that_stays_broken_is_an_error_with_address_and_reason(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.fail(Fault(kind="status", status=503))

    with pytest.raises(SourceError) as raised:
        fetch()

    assert str(raised.value) == (
        f"{usda.base_url}/{NOVEMBER}: the server answers 503 Service Unavailable (4 attempts)"
    )
    assert len(usda.requests) == 4


def test_a_refusal_that_will_not_pass_is_not_asked_for_again(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.fail(Fault(kind="status", status=403))

    with pytest.raises(SourceError, match=f"{NOVEMBER}: the server answers 403 Forbidden"):
        fetch()
    assert len(usda.requests) == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_obeyed(usda: UsdaServer, fetch: Fetch, *, as_date: bool) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    # A date has no parts of a second: two seconds ahead are at least one.
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    wait = moment if as_date else "1"
    usda.fail(Fault(kind="status", status=503, headers={"Retry-After": wait}, times=1))

    assert isinstance(fetch(), Fetched)
    first, second = usda.requests
    assert second.at - first.at > 0.9


def test_a_server_that_wants_hours_is_not_waited_for(usda: UsdaServer, fetch: Fetch) -> None:
    usda.fail(Fault(kind="status", status=503, headers={"Retry-After": "3600"}))

    with pytest.raises(SourceError, match="the server asks to wait 3600 s: run again later"):
        fetch()
    assert len(usda.requests) == 1


def test_threads_share_connections_that_stay_open(
    usda: UsdaServer, source: PsdOnline, tmp_path: Path
) -> None:
    months = [f"2025/{month:02}/psd_alldata_csv.zip" for month in range(6, 12)]
    for path in months:
        usda.publish(path, ARCHIVE)
    partitions = asked(source)
    known: dict[str, Known] = {}
    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(
                lambda one: source.fetch(
                    FetchRequest(partition=one, known=known.get(one.key), directory=tmp_path)
                ),
                partitions,
            )
            for partition, result in zip(partitions, results, strict=True):
                if isinstance(result, Fetched):
                    known[partition.key] = known_from(result)

    assert len(usda.requests) == 5 * len(months)
    assert len({request.port for request in usda.requests}) <= 2


def test_a_server_that_cannot_be_reached_is_named_and_tried_once_for_the_rest(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.stop()

    with pytest.raises(SourceError, match=r"127\.0\.0\.1 cannot be reached: .* \(4 attempts\)"):
        fetch("2025-11")
    with pytest.raises(SourceError, match=r"cannot be reached: .* \(1 attempt\)"):
        fetch("2025-10")
    usda.start()

    assert isinstance(fetch("2025-11"), Fetched)
    usda.fail(Fault(kind="status", times=3))
    assert isinstance(fetch("2025-11"), Fetched)


def test_a_server_that_does_not_answer_is_not_waited_for_without_end(
    open_source: Callable[..., PsdOnline], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = open_source(
            f"http://127.0.0.1:{silent.getsockname()[1]}",
            Patience(attempts=2, first_wait=0, silence=0.2),
        )
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"nothing arrived for 0\.2 s \(2 attempts\)"):
            source.fetch(FetchRequest(partition=asked(source)[-1], known=None, directory=tmp_path))

    assert time.monotonic() - started < 5


def test_a_body_that_drips_is_not_waited_for_without_end(
    usda: UsdaServer, open_source: Callable[..., PsdOnline], tmp_path: Path
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="drip", after=100))
    source = open_source(usda.base_url, Patience(attempts=2, first_wait=0, whole=0.3))
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"did not arrive within 0\.3 s \(2 attempts\)"):
        source.fetch(FetchRequest(partition=asked(source)[-1], known=None, directory=tmp_path))

    assert time.monotonic() - started < 5
    assert list(tmp_path.iterdir()) == []
