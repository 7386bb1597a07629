"""What Scaleway's API and the SDK answer: which error of materia's it becomes."""

from __future__ import annotations

import pytest
import requests
from fakes.scaleway_open import offer_of, opened, request
from materia.errors import CapacityError, CredentialsError, MateriaError, ProviderError
from materia_scaleway import errors as plugin_errors
from materia_scaleway.emulator.service import Scaleway as Cloud
from materia_testing.emulation import Fault
from scaleway_core import api as sdk


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("sold_out", CapacityError),
        ("quota", CapacityError),
        ("older_quota", CapacityError),
        ("unauthorized", CredentialsError),
        ("forbidden", CredentialsError),
        ("precondition", ProviderError),
        ("invalid", ProviderError),
    ],
)
def test_a_refusal_is_the_error_its_body_says(
    cloud: Cloud, error: str, expected: type[MateriaError]
) -> None:
    provider = opened(cloud)
    offer = offer_of(provider, "DEV1-L")
    cloud.faults.next(*cloud.create_call, Fault(error=error))

    with pytest.raises(expected, match="create DEV1-L in fr-par-1"):
        provider.create_instance(request(offer))

    assert cloud.still_billed() == []


def test_every_exception_of_the_sdk_and_its_http_client_is_translated() -> None:
    found = [
        kind
        for module in (sdk, requests.exceptions)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    response = requests.Response()
    response.status_code = 418

    assert len(found) > 20
    for kind in found:
        if not issubclass(kind, sdk.ScalewayException | requests.RequestException):
            assert not kind.__module__.startswith("scaleway"), kind
            continue
        error = kind.__new__(kind)
        error.response = response
        with pytest.raises(ProviderError), plugin_errors.translated("try"):
            raise error


def test_no_request_waits_for_ever(cloud: Cloud) -> None:
    cloud.faults.next("*", "*", Fault(slow=0.9), times=None)

    with pytest.raises(ProviderError, match="no answer in time"):
        opened(cloud).list_instances()
