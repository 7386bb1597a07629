"""A provider's own clock: of any answer a moment or nothing comes of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from materia.errors import ConfigError
from materia.protocols import Provider
from materia_providers.clock import TOLERANCE, check_clock, provider_time, read_date_header

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Starts a server that gives one answer, as it is; its address."""
    with ExitStack() as stack:

        def start(answer: bytes) -> str:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                with suppress(OSError):
                    line, _ = server.accept()
                    with line:
                        line.recv(4096)
                        line.sendall(answer)

            threading.Thread(target=serve, daemon=True).start()
            return f"http://127.0.0.1:{server.getsockname()[1]}/v1"

        yield start


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "500 Oops"])
@pytest.mark.parametrize(
    ("date", "read"),
    [
        ("Tue, 24 Nov 2026 12:00:00 GMT", NOON),
        ("Tue, 24 Nov 2026 13:00:00 +0100", NOON),
        ("Tue, 24 Nov 2026 12:00:00 -0000", NOON),
        ("", None),
        ("yesterday", None),
        ("Tue, 24 Nov 2026 99:99:99 GMT", None),
        ("Tue, 24 Nov 2026 12:00:00 +9999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2300", None),
        ("Tue, 24 Nov 99999999999 12:00:00 GMT", None),
    ],
)
def test_a_date_is_read_with_any_status_and_an_odd_one_is_none(
    answering: Callable[[bytes], str], status: str, date: str, read: datetime | None
) -> None:
    url = answering(f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode())

    assert read_date_header(url) == read


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_odd_answer_has_no_date(answering: Callable[[bytes], str], answer: bytes) -> None:
    assert read_date_header(answering(answer)) is None


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999/", "file:///etc/passwd"])
def test_an_odd_address_has_no_date(url: str) -> None:
    assert read_date_header(url) is None


class Plugin:
    """Of a third party: its `clock` is whatever it is."""

    def __init__(self, clock: object) -> None:
        self.clock = clock


def fails() -> datetime:
    raise KeyError("date")


@pytest.mark.parametrize(
    "clock",
    [
        "a clock of its own",
        NOON,
        fails,
        lambda: None,
        lambda: "2026-11-24T12:00:00Z",
        NOON.timestamp,
        lambda: NOON.replace(tzinfo=None),
    ],
)
def test_a_plugin_whose_clock_says_no_moment_is_taken_to_have_none(clock: Any) -> None:
    time = provider_time(cast("Provider", Plugin(clock)), clock=lambda: NOON)

    assert (time.now, time.off) == (NOON, timedelta(0))


def test_nothing_is_rented_by_a_clock_that_is_more_than_five_minutes_off() -> None:
    ahead = Plugin(lambda: datetime.now(UTC) + TOLERANCE + timedelta(minutes=2))
    near = Plugin(lambda: datetime.now(UTC) + TOLERANCE - timedelta(minutes=2))

    check_clock(cast("Provider", near), "acme")
    with pytest.raises(ConfigError, match="acme: the clock of this computer is 7 min behind"):
        check_clock(cast("Provider", ahead), "acme")
