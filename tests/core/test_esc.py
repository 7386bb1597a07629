from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fakes.esc import TOKEN, Esc, Secret, Unknown, value
from hypothesis import given
from hypothesis import strategies as st
from materia_runner.secrets.pulumi_esc import EscError, read_variables, variables
from materia_testing.emulation import Clock, Fault

NAME = "acme/beanflows/prod"
OPEN = ("POST", "/api/esc/environments/*/open")
READ = ("GET", "/api/esc/environments/*/open/*")


@pytest.fixture
def esc() -> Iterator[Esc]:
    with Esc(clock=Clock(speed=0)) as service:
        service.environments[NAME] = {
            "environmentVariables": {
                "HCLOUD_TOKEN": Secret("tok/en=1"),
                "PLAIN": "seen",
                "value": "a variable of this name",
            }
        }
        yield service


def read(esc: Esc, name: str = NAME, **more: Any) -> dict[str, str]:
    return dict(read_variables(name, **{"token": TOKEN, "url": esc.url, **more}).values)


def refusal(esc: Esc, name: str = NAME, **more: Any) -> str:
    with pytest.raises(EscError) as caught:
        read(esc, name, **more)
    assert TOKEN not in str(caught.value)
    assert "tok/en=1" not in str(caught.value)
    return str(caught.value)


def test_no_variable_is_lost_whatever_it_is_called(esc: Esc) -> None:
    """pulumi-esc-sdk 0.14.0 gives `a variable of this name` in the place of all of them."""
    assert read(esc) == {
        "HCLOUD_TOKEN": "tok/en=1",
        "PLAIN": "seen",
        "value": "a variable of this name",
    }
    assert [one.method for one in esc.exchanges] == ["POST", "GET"]


def test_scalars_are_variables_as_esc_run_has_them(esc: Esc) -> None:
    esc.environments[NAME] = {
        "environmentVariables": {
            "YES": True,
            "NUMBER": 12345678901234567890,
            "FRACTION": 0.10,
            "NOTHING": None,
            "EMPTY": "",
            "UNKNOWN": Unknown(),
            "LIST": ["a"],
            "OBJECT": {"value": "x"},
        }
    }

    assert read(esc) == {"YES": "true", "NUMBER": "12345678901234567890", "FRACTION": "0.1"}


@given(
    st.dictionaries(
        st.text(min_size=1) | st.sampled_from(["value", "secret", "trace", "unknown"]),
        st.text(min_size=1),
    )
)
def test_any_variables_come_as_they_are(given: dict[str, str]) -> None:
    properties = {"environmentVariables": value({name: Secret(one) for name, one in given.items()})}

    assert variables(properties).values == given


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("value"), inner),
    )
)
def test_what_is_of_another_shape_is_no_variable_and_no_error(odd: Any) -> None:
    assert isinstance(variables({"environmentVariables": odd}).values, dict)
    assert isinstance(variables({"environmentVariables": {"value": odd}}).values, dict)


def test_a_version_can_be_named(esc: Esc) -> None:
    esc.environments[f"{NAME}@stable"] = {"environmentVariables": {"PLAIN": "older"}}

    assert read(esc, f"{NAME}@stable") == {"PLAIN": "older"}


def test_two_names_are_a_project_of_the_default_organization(esc: Esc) -> None:
    assert read(esc, "beanflows/prod") == read(esc)


def test_a_token_without_a_default_organization_can_still_name_one(esc: Esc) -> None:
    esc.environments["team/default/prod"] = {"environmentVariables": {"PLAIN": "old"}}
    esc.faults.next("GET", "/api/user/*", Fault(error="forbidden"))

    assert read(esc, "team/prod") == {"PLAIN": "old"}


@pytest.mark.parametrize("default", ["acme", ""])
def test_two_names_are_an_organization_when_there_is_no_such_project(
    esc: Esc, default: str
) -> None:
    esc.organization = default
    esc.environments["team/default/prod"] = {"environmentVariables": {"PLAIN": "old"}}

    assert read(esc, "team/prod") == {"PLAIN": "old"}


def test_a_session_that_ends_before_it_is_read_is_opened_anew(esc: Esc) -> None:
    esc.faults.next(*READ, Fault(error="not_found"))

    assert read(esc)["PLAIN"] == "seen"
    assert [one.method for one in esc.exchanges] == ["POST", "GET", "POST", "GET"]


def test_sessions_of_the_server_do_end(esc: Esc) -> None:
    """Of the fake: what the test above stands on."""
    read(esc)
    esc.clock.advance(timedelta(hours=3))
    session = esc.exchanges[-1].path.rpartition("/")[2]
    answer = esc.read(None, "acme", "beanflows", "prod", session)  # type: ignore[arg-type]

    assert answer.status == 404


@pytest.mark.parametrize("call", [OPEN, READ])
@pytest.mark.parametrize(
    "fault",
    [Fault(error="rate_limit"), Fault(error="server_error"), Fault(drop="before")],
    ids=["429", "500", "dropped"],
)
def test_what_passes_is_tried_again(esc: Esc, call: tuple[str, str], fault: Fault) -> None:
    esc.faults.next(*call, fault)

    assert read(esc)["PLAIN"] == "seen"
    assert esc.faults.pending == 0


def test_what_does_not_pass_is_told_after_three_tries(esc: Esc) -> None:
    esc.faults.next(*OPEN, Fault(error="rate_limit"), times=None)

    said = refusal(esc)
    assert said == "the answer was 429 (Too Many Requests); try again later"
    assert len(esc.exchanges) == 3


def test_nobody_waits_for_an_hour(esc: Esc) -> None:
    esc.faults.next(*OPEN, Fault(error="rate_limit_long"))

    assert "429" in refusal(esc)
    assert len(esc.exchanges) == 1


def test_a_slow_answer_is_not_waited_for(esc: Esc) -> None:
    esc.faults.next(*OPEN, Fault(slow=1.0))

    said = refusal(esc, patience=timedelta(seconds=0.2))
    assert said == "no answer from 127.0.0.1 in time"


def test_an_answer_that_drips_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()
        thread = threading.Thread(target=drip, args=(server, done))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(EscError, match="is too slow"):
            read_variables(NAME, token=TOKEN, url=url, patience=timedelta(seconds=0.3))
        done.set()
        thread.join()


def drip(server: socket.socket, done: threading.Event) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            if done.wait(0.05):
                return
            connection.sendall(b" ")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("unauthorized", "PULUMI_ACCESS_TOKEN was refused; set a new one"),
        ("forbidden", "the token may not open it (You do not have permission"),
        ("moved", "the answer was 302; is PULUMI_BACKEND_URL right?"),
        ("not_json", "the answer is not JSON; is PULUMI_BACKEND_URL right?"),
        ("no_object", "the answer is not a JSON object; is PULUMI_BACKEND_URL right?"),
        ("no_id", "it answered without a session"),
    ],
)
def test_a_refusal_says_what_to_do(esc: Esc, error: str, said: str) -> None:
    esc.faults.next(*OPEN, Fault(error=error), times=None)

    assert refusal(esc).startswith(said)
    assert len(esc.exchanges) == 1


def test_the_token_is_checked_by_the_server(esc: Esc) -> None:
    assert refusal(esc, token=TOKEN[:-1]).startswith("PULUMI_ACCESS_TOKEN was refused")


def test_a_token_with_a_line_end_is_taken(esc: Esc) -> None:
    assert read(esc, token=f"{TOKEN}\n")["PLAIN"] == "seen"


@pytest.mark.parametrize("token", ["pul-ä", "pul-\n1", "pul-\x7f"])
def test_a_token_that_cannot_be_sent_is_told(esc: Esc, token: str) -> None:
    assert "characters that no token has" in refusal(esc, token=token)
    assert esc.exchanges == []


@pytest.mark.parametrize("name", ["acme/beanflows/dev", "beanflows/dev", "acme/bean flows/../x"])
def test_an_unknown_environment_says_how_it_is_written(esc: Esc, name: str) -> None:
    assert "organization/project/name" in refusal(esc, name)


def test_an_environment_with_an_error_says_where_it_is(esc: Esc) -> None:
    esc.broken.add(NAME)

    said = refusal(esc)
    assert said == ('it cannot be opened (Bad Request) (prod line 2: unknown property "nowhere")')


@pytest.mark.parametrize("url", ["file://~", "s3://bucket/state", "api.pulumi.com", "https://"])
def test_an_address_that_is_not_of_the_service_is_told(esc: Esc, url: str) -> None:
    """PULUMI_BACKEND_URL may be where `pulumi` keeps its state."""
    assert "PULUMI_BACKEND_URL is not an address" in refusal(esc, url=url)


@pytest.mark.parametrize("host", ["esc.example.org", "127.example.org", "10.0.0.1", "[fe80::1]"])
def test_a_token_is_sent_in_clear_to_this_machine_only(esc: Esc, host: str) -> None:
    assert "must begin with https://" in refusal(esc, url=f"http://{host}:{esc.url.split(':')[-1]}")
    assert read(esc, url=esc.url.replace("127.0.0.1", "localhost"))["PLAIN"] == "seen"


def test_a_server_that_is_not_there_is_told(esc: Esc) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    said = refusal(esc, url=f"http://127.0.0.1:{port}")

    assert said.startswith("127.0.0.1 cannot be reached: ")


def test_of_the_address_only_the_server_counts(esc: Esc) -> None:
    assert read(esc, url=f"{esc.url}/acme/")["PLAIN"] == "seen"
