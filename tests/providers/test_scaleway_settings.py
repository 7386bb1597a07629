"""Opening the scaleway plugin: what is imported for it, its settings, and its credentials."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from fakes.renting import opening
from fakes.scaleway_open import NEEDS, request
from materia.errors import ConfigError, CredentialsError
from materia_scaleway import materia_providers
from materia_scaleway.emulator.service import Scaleway as Cloud


def test_declaring_the_plugin_imports_neither_its_sdk_nor_an_http_client() -> None:
    program = (
        "import sys, materia_scaleway; materia_scaleway.materia_providers(); print(*sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert not {"scaleway", "scaleway_core", "requests", "httpx"} & set(answer.stdout.split())


def test_every_setting_of_the_emulator_is_declared(cloud: Cloud) -> None:
    (plugin,) = materia_providers()

    assert set(cloud.settings()) <= {setting.name for setting in plugin.settings}
    assert set(cloud.secrets()) == set(plugin.secrets)


def test_what_the_plugin_opens_can_rent(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    provider = plugin.open(opening(cloud))
    made = provider.create_instance(request(provider.offers(NEEDS)[0]))

    provider.destroy_instance(made)

    assert cloud.still_billed() == []


def test_the_message_for_a_malformed_key_does_not_repeat_it(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    secrets = {"SCW_ACCESS_KEY": "SCWEMULATED000000000", "SCW_SECRET_KEY": "hunter2"}

    with pytest.raises(CredentialsError) as caught:
        plugin.open(replace(opening(cloud), secrets=secrets))

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_that_is_refused_is_said_to_be(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    secrets = {**cloud.secrets(), "SCW_SECRET_KEY": "22222222-1111-1111-1111-111111111111"}
    provider = plugin.open(replace(opening(cloud), secrets=secrets))

    with pytest.raises(CredentialsError, match="denied_authentication") as caught:
        provider.offers(NEEDS)

    assert "22222222" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("project", "my-project", "providers.scaleway.project must be a UUID"),
        (
            "regions",
            ("fr-pra",),
            r"has 'fr-pra' \(did you mean 'fr-par'\?\); known: fr-par, fr-par-1",
        ),
        (
            "api_url",
            "api.scaleway.com",
            "providers.scaleway.api_url must be an address such as https://api.scaleway.com",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    cloud: Cloud, setting: str, value: object, message: str
) -> None:
    (plugin,) = materia_providers()

    with pytest.raises(ConfigError, match=message):
        plugin.open(opening(cloud, **{setting: value}))
