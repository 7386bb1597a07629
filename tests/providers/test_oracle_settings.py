"""Opening the oracle plugin: what is imported for it, its settings, and its credentials."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from fakes.oracle_open import NEEDS, request
from fakes.renting import opening
from materia.errors import ConfigError, CredentialsError
from materia_oracle import materia_providers
from materia_oracle.emulator.service import Oracle as Cloud


def modules_after(program: str) -> set[str]:
    answer = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(answer.stdout.split())


def test_declaring_the_plugin_imports_neither_its_sdk_nor_an_http_client() -> None:
    loaded = modules_after("import materia_oracle; materia_oracle.materia_providers()")

    assert not {"oci", "httpx", "cryptography"} & loaded


def test_prices_need_no_sdk(cloud: Cloud) -> None:
    program = (
        "from pathlib import Path; import materia_oracle; from materia import Opening;"
        "from materia.compute import Requirements;"
        f"opening = Opening(secrets={{}}, settings={cloud.settings()!r}, directory=Path());"
        "assert materia_oracle.public_offers(opening, Requirements())"
    )
    loaded = modules_after(program)

    assert "httpx" in loaded
    assert "oci" not in loaded


def test_the_sdk_is_imported_without_the_clients_of_every_service() -> None:
    loaded = modules_after("import materia_oracle.provider")

    assert "oci.core" in loaded
    assert "oci.database" not in loaded


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


def test_line_ends_that_were_copied_with_the_credentials_do_no_harm(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    copied = {name: f"{value}\n" for name, value in cloud.secrets().items()}

    provider = plugin.open(replace(opening(cloud), secrets=copied))

    assert provider.offers(NEEDS)


def test_a_key_that_is_none_is_refused_and_not_told(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    secrets = {**cloud.secrets(), "OCI_CLI_KEY_CONTENT": "passwörd"}

    with pytest.raises(
        CredentialsError, match="OCI_CLI_KEY_CONTENT contains a character"
    ) as raised:
        plugin.open(replace(opening(cloud), secrets=secrets))

    assert "passw" not in str(raised.value)


def test_the_key_may_have_its_line_ends_written_out(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    key = cloud.key.private_pem.strip().replace("\n", "\\n")
    secrets = {**cloud.secrets(), "OCI_CLI_KEY_CONTENT": key}

    assert plugin.open(replace(opening(cloud), secrets=secrets)).offers(NEEDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OCI_CLI_KEY_CONTENT", "hunter2"),
        ("OCI_CLI_FINGERPRINT", "hunter2"),
        ("OCI_CLI_USER", "hunter2"),
    ],
)
def test_malformed_credentials_are_refused_without_repeating_them(
    cloud: Cloud, name: str, value: str
) -> None:
    (plugin,) = materia_providers()
    secrets = {**cloud.secrets(), name: value}

    with pytest.raises(CredentialsError) as caught:
        plugin.open(replace(opening(cloud), secrets=secrets))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"), [("compartment", "materia"), ("subnet", "ocid1.vcn.oc1..x")]
)
def test_a_setting_that_is_no_ocid_is_named(cloud: Cloud, setting: str, value: str) -> None:
    (plugin,) = materia_providers()

    with pytest.raises(
        ConfigError, match=f"providers.oracle.{setting} must be the OCID of a {setting}"
    ):
        plugin.open(opening(cloud, **{setting: value}))
