"""What Oracle's API and the SDK answer: which error of materia's it becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import oci  # type: ignore[import-untyped]
import pytest
from fakes.oracle_open import E4, NEEDS, offer_of, opened, request
from materia.errors import CapacityError, CredentialsError, MateriaError, ProviderError
from materia_oracle import errors as plugin_errors
from materia_oracle.emulator.service import Oracle as Cloud
from materia_testing.emulation import Fault


def test_a_clock_that_is_wrong_is_a_matter_of_credentials(cloud: Cloud) -> None:
    cloud.ahead = timedelta(minutes=6)

    with pytest.raises(CredentialsError, match="this machine's clock"):
        opened(cloud).offers(NEEDS)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("sold_out", CapacityError),
        ("quota", CapacityError),
        ("compartment_quota", CapacityError),
        ("no_shape", CapacityError),
        ("unauthorized", CredentialsError),
        ("forbidden", CredentialsError),
        ("not_found", ProviderError),
        ("rate_limit", ProviderError),
        ("conflict", ProviderError),
        ("invalid", ProviderError),
        ("unavailable", ProviderError),
    ],
)
def test_a_refusal_is_the_error_its_body_says(
    cloud: Cloud, error: str, expected: type[MateriaError]
) -> None:
    provider = opened(cloud)
    offer = offer_of(provider, E4)
    cloud.faults.next(*cloud.create_call, Fault(error=error), times=None)

    with pytest.raises(expected, match=f"launch {E4}"):
        provider.create_instance(request(offer))

    assert cloud.still_billed() == []


def test_the_page_of_a_gateway_is_told_by_its_status(
    cloud: Cloud,
) -> None:
    cloud.faults.next("GET", "*", Fault(error="bad_gateway"), times=None)
    with pytest.raises(
        ProviderError, match=r"^oracle: cannot list availability domains: HTTP 502$"
    ):
        opened(cloud).offers(NEEDS)


def test_every_exception_of_the_sdk_is_translated() -> None:
    found = [
        kind
        for kind in vars(oci.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]

    assert len(found) > 15
    for kind in found:
        error: Any = kind.__new__(kind)
        if issubclass(kind, oci.exceptions.ServiceError):
            error.status, error.code, error.message = 418, "Teapot", ""
        with pytest.raises(ProviderError), plugin_errors.translated("try"):
            raise error
