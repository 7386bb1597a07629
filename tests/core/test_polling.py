"""Waiting goes on through bad answers, and ends at definite ones."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from materia.compute import Instance
from materia.errors import (
    CapacityError,
    CredentialsError,
    MateriaError,
    OrphanError,
    ProviderError,
    ReadyTimeoutError,
)
from materia_providers.api_errors import refuses, retry_after
from materia_providers.labels import Owner
from materia_providers.polling import Boot, again, await_boot, look_for
from materia_providers.teardown import ForeignError, leaving_nothing, leftover, remove

SHORT = timedelta(seconds=0.4)
LONG = timedelta(seconds=20)
NOTHING = timedelta(0)
BAD = (
    ProviderError("HTTP 503"),
    ProviderError("HTTP 429", retry_after=timedelta(milliseconds=1)),
    CredentialsError("HTTP 401"),
    ForeignError("no labels"),
    KeyError("status"),
    TypeError("a list"),
    RecursionError("too deep"),
    ConnectionResetError("reset"),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "no text"),
)
LEFT = leftover(
    Owner(name="materia-r1-x", run="r1", stage="x", expires_at=datetime(2030, 1, 1, tzinfo=UTC)),
    provider="rental",
)


def answering(*answers: object) -> Callable[[], object]:
    """Gives or raises one after the other, the last one for ever."""
    left: Iterator[object] = iter(answers)
    now: list[object] = []

    def answer() -> object:
        now[:] = [next(left, *now)]
        if isinstance(now[0], Exception):
            raise now[0]
        return now[0]

    return answer


def wait(*looks: object, timeout: timedelta = LONG, settle: timedelta = NOTHING) -> Boot:
    look: Callable[[], object] = answering(*looks)
    return await_boot(
        "rental: materia-r1-x",
        look,  # type: ignore[arg-type]  # it gives what it was given
        timeout=timeout,
        settle=settle,
    )


@contextmanager
def greeting(words: bytes) -> Iterator[Boot]:
    """A machine that runs, and whose port answers with *words*."""

    class Greeter(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(words)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield Boot(state="running", host="127.0.0.1", port=server.server_address[1])
        server.shutdown()


@pytest.fixture(scope="module")
def runs() -> Iterator[Boot]:
    with greeting(b"SSH-2.0-OpenSSH_9.2\r\n") as boot:
        yield boot


@pytest.mark.parametrize("bad", BAD, ids=lambda one: type(one).__name__)
def test_no_bad_answer_ends_a_boot(bad: Exception, runs: Boot) -> None:
    assert wait(bad, Boot(state="starting"), bad, bad, runs) == runs


def test_a_machine_that_is_missing_for_a_moment_is_waited_for(runs: Boot) -> None:
    assert wait(None, None, BAD[0], None, None, runs) == runs
    assert wait(None, None, None, None, runs, settle=LONG) == runs


def test_only_a_greeting_of_an_ssh_server_is_an_answer() -> None:
    with (
        greeting(b"HTTP/1.1 400 Bad Request\r\n") as boot,
        pytest.raises(ReadyTimeoutError, match="the server there is not an SSH server"),
    ):
        wait(boot, timeout=SHORT)
    with pytest.raises(ReadyTimeoutError, match="connection refused"):
        wait(boot, timeout=SHORT)


def test_a_machine_that_stays_missing_is_gone() -> None:
    with pytest.raises(ReadyTimeoutError, match="materia-r1-x is gone"):
        wait(None)


def test_a_machine_that_failed_is_given_up_at_once() -> None:
    failure = CapacityError("it could not be built")

    with pytest.raises(CapacityError, match="could not be built"):
        wait(BAD[0], Boot(state="ERROR", failure=failure))


def test_the_last_bad_answer_is_told_when_the_time_is_over() -> None:
    with pytest.raises(ReadyTimeoutError, match=r"is starting after 0.4 s .*HTTP 503"):
        wait(Boot(state="starting"), BAD[0], timeout=SHORT)


def test_what_is_looked_for_is_found_through_bad_answers() -> None:
    assert look_for(answering(None, *BAD, "there"), LONG) == "there"


def test_not_there_is_believed_and_no_answer_is_not() -> None:
    assert look_for(answering(BAD[0], None), SHORT) is None
    with pytest.raises(ProviderError, match="HTTP 503"):
        look_for(answering(None, BAD[0]), SHORT)


def test_a_request_is_repeated_where_it_may_be_answered_later() -> None:
    ask = answering(BAD[0], BAD[1], "answer")

    assert again(ask, passing=lambda _: True, first_pause=NOTHING) == "answer"
    with pytest.raises(CredentialsError):
        again(answering(BAD[2]), passing=lambda _: False, first_pause=NOTHING)


def test_a_service_that_wants_to_be_left_alone_for_an_hour_is() -> None:
    busy = ProviderError("HTTP 429", retry_after=timedelta(hours=1))

    with pytest.raises(ProviderError, match="429"):
        again(answering(busy), passing=lambda _: True, first_pause=NOTHING)


@pytest.mark.parametrize("bad", BAD, ids=lambda one: type(one).__name__)
def test_no_bad_answer_ends_a_removal(bad: Exception) -> None:
    if isinstance(bad, CredentialsError):
        pytest.skip("waiting does not help")
    delete_pass = answering(bad, ["the machine"], bad, [])

    assert remove(LEFT, delete_pass, console="x", patience=LONG)  # type: ignore[arg-type]


def test_a_removal_that_never_gets_an_answer_says_what_may_be_left() -> None:
    with pytest.raises(OrphanError, match=r"rental: .*materia-r1-x .*KeyError.*delete it at x"):
        remove(LEFT, answering(KeyError("id")), console="x", patience=SHORT)  # type: ignore[arg-type]


def test_what_is_a_strangers_again_and_again_is_left_alone() -> None:
    with pytest.raises(ForeignError):
        remove(LEFT, answering(ForeignError("mine")), console="x", patience=LONG)  # type: ignore[arg-type]


def failing(error: BaseException, undone: list[BaseException]) -> Instance:
    def undo(reason: BaseException) -> str:
        undone.append(reason)
        return "machine"

    with leaving_nothing("rental: cannot create", undo):  # type: ignore[arg-type]
        raise error


@pytest.mark.parametrize("error", [KeyError("created"), CapacityError("sold out")])
def test_a_failed_create_is_undone_and_only_errors_of_ours_get_out(error: Exception) -> None:
    undone: list[BaseException] = []

    with pytest.raises(ProviderError) as raised:
        failing(error, undone)

    assert undone == [error]
    assert raised.value.made == "machine"
    assert getattr(error, "made", "") == "", "an error that was raised is not changed afterwards"
    assert isinstance(error, MateriaError) or "cannot create" in str(raised.value)


def test_an_error_of_a_failed_create_keeps_its_class_its_words_and_how_long_to_wait() -> None:
    error = CapacityError("sold out", retry_after=timedelta(seconds=7))

    with pytest.raises(CapacityError, match=r"^sold out$") as raised:
        failing(error, [])

    assert (raised.value.made, raised.value.retry_after) == ("machine", timedelta(seconds=7))
    assert raised.value.__cause__ is error


def test_an_interrupted_create_is_undone_too() -> None:
    undone: list[BaseException] = []

    with pytest.raises(KeyboardInterrupt):
        failing(KeyboardInterrupt(), undone)
    assert len(undone) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", timedelta(seconds=7)),
        ("Tue, 24 Nov 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Tue, 24 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("soon", None),
        ("-3", None),
        ("9" * 40, None),
        ("", None),
    ],
)
def test_the_header_retry_after_is_a_number_or_a_date(
    value: str, expected: timedelta | None
) -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)

    assert retry_after({"Retry-After": value}, now) == expected
    assert retry_after(None) is None


def test_some_refusals_are_about_the_offer_and_some_about_the_account_or_the_moment() -> None:
    assert [status for status in (400, 404, 410, 412, 422) if not refuses(status)] == []
    assert [
        status for status in (200, 401, 402, 403, 408, 409, 429, 500, 503) if refuses(status)
    ] == []
