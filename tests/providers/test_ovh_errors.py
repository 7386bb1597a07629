"""Wrong credentials, and what the SDK raises: which error of materia's it becomes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from fakes.ovh_open import credentials_of, opened
from fakes.renting import all_subclasses
from materia.errors import CapacityError, ConfigError, CredentialsError, MateriaError, ProviderError
from materia_ovh.emulator.service import Ovh as Cloud
from materia_ovh.errors import translate, translated
from materia_ovh.provider import Ovh
from materia_ovh.settings import read_settings
from ovh import exceptions  # type: ignore[import-untyped]  # the SDK has no types


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("application_key", "OVH_APPLICATION_KEY is not valid"),
        ("application_secret", "OVH_APPLICATION_SECRET does not belong to OVH_APPLICATION_KEY"),
        ("consumer_key", "OVH_CONSUMER_KEY is not valid"),
    ],
)
def test_each_wrong_credential_is_named_and_none_is_told(
    cloud: Cloud, wrong: str, message: str
) -> None:
    changes: dict[str, Any] = {wrong: "s3cr3t-and-wrong"}
    credentials = replace(credentials_of(cloud), **changes)

    with pytest.raises(CredentialsError, match=message) as caught:
        opened(cloud, credentials=credentials).list_instances()

    assert "s3cr3t" not in str(caught.value)
    assert cloud.application_secret not in repr(credentials_of(cloud))


def test_a_clock_that_is_wrong_does_not_matter() -> None:
    for skew in (timedelta(days=-3), timedelta(hours=5)):
        with Cloud(skew=skew) as cloud:
            assert opened(cloud).list_instances() == []


@pytest.mark.parametrize("key", ["two words\n", "schl\u00fcssel\u20ac"])
def test_a_key_that_cannot_be_sent_is_a_matter_of_credentials(cloud: Cloud, key: str) -> None:
    provider = Ovh(
        replace(credentials_of(cloud), consumer_key=key), read_settings(cloud.settings())
    )

    with pytest.raises(CredentialsError) as caught:
        provider.list_instances()

    assert "copy them again" in str(caught.value)
    assert key.strip() not in str(caught.value)


def test_every_exception_of_the_sdk_becomes_one_of_materias() -> None:
    roots = (exceptions.APIError, requests.exceptions.RequestException)
    kinds = {kind for root in roots for kind in all_subclasses(root)}
    kinds = {kind for kind in kinds if kind.__module__.startswith(("ovh", "requests"))}

    unknown = []
    for kind in kinds:
        from_sdk = issubclass(kind, exceptions.APIError)
        error = kind("message") if from_sdk else kind.__new__(kind, "message")
        if translate(error, "do it") is None:
            unknown.append(kind)

    assert len(kinds) > 30
    assert unknown == []


def answer(status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers["X-OVH-QUERYID"] = "EU.ext.1"
    return response


@pytest.mark.parametrize(
    ("kind", "status", "told", "expected"),
    [
        (exceptions.NotGrantedCall, 403, "This call has not been granted", CredentialsError),
        (exceptions.InvalidKey, 403, "This application key is invalid", CredentialsError),
        (exceptions.APIError, 401, "Unauthorized", CredentialsError),
        (exceptions.APIError, 403, "Quota exceeded for cores", CapacityError),
        (exceptions.ResourceConflictError, 409, "Insufficient quota (instances)", CapacityError),
        (exceptions.BadParametersError, 400, "No more stock", CapacityError),
        (exceptions.APIError, 500, "No valid host was found", CapacityError),
        (exceptions.APIError, 429, "Too many requests", ProviderError),
        (exceptions.ResourceExpiredError, 460, "expired", ProviderError),
        (exceptions.InvalidRegion, 0, "Unknown endpoint", ConfigError),
    ],
)
def test_words_and_classes_become_the_decision_that_follows(
    kind: type[Exception], status: int, told: str, expected: type[MateriaError]
) -> None:
    error = translate(kind(told, **({"response": answer(status)} if status else {})), "do it")

    assert isinstance(error, expected)
    decided = isinstance(error, CapacityError | CredentialsError | ConfigError)
    assert decided is (expected is not ProviderError)
    assert f"cannot do it: {told}" in str(error)
    if status:
        assert "EU.ext.1" in str(error)


def test_what_no_rule_knows_is_an_answer_that_cannot_be_read() -> None:
    with (
        pytest.raises(ProviderError, match=r"ovh: cannot do it: .*RecursionError: too deep"),
        translated("do it"),
    ):
        raise RecursionError("too deep")
