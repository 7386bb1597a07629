"""Wrong tokens, and what the SDK raises: which error of materia's it becomes."""

from __future__ import annotations

import hcloud
import hcloud.actions
import pytest
import requests
from fakes.hetzner_open import offer_of, opened
from fakes.renting import all_subclasses, request_for
from hcloud.actions.domain import ActionError
from materia.compute import Requirements
from materia.errors import CapacityError, CredentialsError, MateriaError, ProviderError
from materia_hetzner.emulator.service import Hetzner as Cloud
from materia_hetzner.errors import translate, translated
from materia_hetzner.provider import Hetzner
from materia_hetzner.settings import read_settings
from materia_testing.emulation import Fault


def test_a_read_only_token_is_said_to_be_one_and_leaves_nothing(cloud: Cloud) -> None:
    provider = opened(cloud, token=cloud.read_only_token)

    with pytest.raises(CredentialsError, match="HCLOUD_TOKEN is read-only"):
        provider.create_instance(request_for(offer_of(provider)))

    assert cloud.still_billed() == []


def test_no_message_tells_the_token(cloud: Cloud) -> None:
    provider = opened(cloud, token="s3cr3t-token-that-is-wrong")  # noqa: S106 -- none

    with pytest.raises(CredentialsError) as caught:
        provider.offers(Requirements())

    assert "s3cr3t" not in str(caught.value)
    assert "HCLOUD_TOKEN" in str(caught.value)


@pytest.mark.parametrize("token", ["two words\n", "schl\u00fcssel\u20ac"])
def test_a_token_that_cannot_be_sent_is_a_matter_of_credentials(cloud: Cloud, token: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        Hetzner(token, read_settings(cloud.settings())).list_instances()

    assert "copy it again" in str(caught.value)
    assert token.strip() not in str(caught.value)


def one_of(kind: type[Exception]) -> Exception:
    if issubclass(kind, hcloud.APIException):
        return kind("server_error", "message", None)
    if issubclass(kind, hcloud.actions.ActionException):
        return kind(action=hcloud.actions.Action(id=1, command="create_server", status="error"))
    # Some of requests' exceptions want arguments of their own and do nothing with them here.
    return kind.__new__(kind, "message")


def test_every_exception_of_the_sdk_becomes_one_of_materias() -> None:
    roots = (hcloud.HCloudException, requests.exceptions.RequestException)
    kinds = {kind for root in roots for kind in all_subclasses(root)}
    kinds = {kind for kind in kinds if kind.__module__.startswith(("hcloud", "requests"))}

    unknown = [kind for kind in kinds if translate(one_of(kind), "do it") is None]

    assert len(kinds) > 20
    assert unknown == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("resource_unavailable", CapacityError),
        ("resource_limit_exceeded", CapacityError),
        ("placement_error", CapacityError),
        ("unauthorized", CredentialsError),
        ("token_readonly", CredentialsError),
        ("forbidden", CredentialsError),
        (401, CredentialsError),
        ("rate_limit_exceeded", ProviderError),
        ("deprecated_api_endpoint", ProviderError),
        (502, ProviderError),
    ],
)
def test_codes_of_the_api_become_the_decision_that_follows(
    code: str | int, expected: type[MateriaError]
) -> None:
    error = translate(hcloud.APIException(code, "message", None, correlation_id="c-1"), "do it")

    assert type(error) in {expected, *expected.__subclasses__()}
    assert "cannot do it: message" in str(error)
    assert "c-1" in str(error)


def test_a_failed_action_for_want_of_room_is_a_capacity_error() -> None:
    action = hcloud.actions.Action(
        id=1,
        command="create_server",
        status="error",
        error=ActionError(code="resource_unavailable", message="no room", details={}),
    )

    error = translate(hcloud.actions.ActionFailedException(action=action), "do it")

    assert isinstance(error, CapacityError)


def test_what_no_rule_knows_is_an_answer_that_cannot_be_read() -> None:
    with (
        pytest.raises(ProviderError, match=r"hetzner: cannot do it: .*RecursionError: too deep"),
        translated("do it"),
    ):
        raise RecursionError("too deep")


def test_an_answer_that_is_not_json_is_called_that(cloud: Cloud) -> None:
    cloud.faults.next("GET", "*", Fault(error="not_json"))

    with pytest.raises(ProviderError, match=r"hetzner: .*: the answer is not JSON$"):
        opened(cloud).list_instances()
