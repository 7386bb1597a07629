"""Settings of the ovh plugin, and what the SDK reads of the environment on its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.ovh_open import opened
from materia import Opening
from materia.errors import ConfigError
from materia_ovh import materia_providers, open_ovh
from materia_ovh.emulator.service import Ovh as Cloud
from materia_ovh.provider import Ovh
from materia_ovh.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"api_url": "ovh-eu"}, r"providers.ovh.api_url must be an address"),
        ({"ssh_port": 70000}, r"providers.ovh.ssh_port must be from 1 to 65535, is 70000"),
        ({"project": "my project"}, r"providers.ovh.project must be the id .* is 'my project'"),
        (
            {"subsidiary": "France"},
            r"must be one of OVHcloud's, such as FR, is 'France'; eu.api.ovh.com serves CZ, DE,",
        ),
        ({"subsidiary": "EU"}, r"providers.ovh.subsidiary must be one of OVHcloud's"),
        (
            {"subsidiary": "WE"},
            r"'WE', which eu.api.ovh.com does not serve: it has CZ, .*https://ca.api.ovh.com/1.0",
        ),
        (
            {"subsidiary": "FR", "api_url": "https://ca.api.ovh.com/1.0/"},
            r"'FR', which ca.api.ovh.com does not serve: .* https://eu.api.ovh.com/1.0",
        ),
        (
            {"subsidiary": "CA", "api_url": "https://api.us.ovhcloud.com/1.0"},
            r"'CA', which api.us.ovhcloud.com does not serve",
        ),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(values)


@pytest.mark.parametrize(
    ("url", "currency", "asked"),
    [
        ("https://eu.api.ovh.com/1.0", "EUR", ("IE",)),
        ("https://eu.api.ovh.com/1.0", "GBP", ("GB", "IE")),
        ("https://eu.api.ovh.com/1.0", "USD", ("IE",)),
        ("https://eu.api.ovh.com/1.0", "CAD", ("IE",)),
        ("https://api.ovh.com/1.0", "SGD", ("IE",)),
        ("https://ca.api.ovh.com/1.0", "EUR", ("WE",)),
        ("https://ca.api.ovh.com/1.0", "USD", ("WE",)),
        ("https://CA.api.ovh.com/1.0", "CAD", ("CA", "WE")),
        ("https://api.us.ovhcloud.com/1.0", "EUR", ("US",)),
        ("http://127.0.0.1:4711/1.0", "USD", ("WE", "US", "IE")),
        ("http://127.0.0.1:4711/1.0", "CHF", ("IE", "WE", "US")),
    ],
)
def test_an_api_is_asked_for_a_subsidiary_that_it_serves(
    url: str, currency: str, asked: tuple[str, ...]
) -> None:
    assert read_settings({"api_url": url}).subsidiaries_for(currency) == asked


def test_without_a_project_the_error_says_where_to_find_it(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), project="")

    with pytest.raises(ConfigError, match=r"set providers.ovh.project .* Control Panel"):
        opened(cloud, settings).list_instances()


def test_the_plugin_opens_with_its_declared_defaults(tmp_path: Path) -> None:
    (plugin,) = materia_providers()
    settings = {setting.name: setting.default for setting in plugin.settings}
    secrets = dict.fromkeys(plugin.secrets, "x")

    opening = Opening(secrets=secrets, settings=settings, directory=tmp_path)

    assert isinstance(open_ovh(opening), Ovh)
    assert read_settings(settings) == Settings()


def test_other_credentials_of_the_environment_are_an_error_that_says_which(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVH_CLIENT_ID", "x")
    monkeypatch.setenv("OVH_CLIENT_SECRET", "y")

    with pytest.raises(ConfigError, match="OVH_CLIENT_ID must not be set"):
        opened(cloud)


@pytest.mark.parametrize("content", [b"application_secret=hush", b"[ovh-eu]\nhush", b"\xff\xfe"])
def test_a_damaged_configuration_of_the_sdk_is_named_without_its_lines(
    cloud: Cloud, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "ovh.conf").write_bytes(content)
    (tmp_path / "materia.toml").write_text(
        f'[providers.ovh]\napi_url = "{cloud.url}/1.0"\nproject = "{cloud.project}"\n'
    )

    ended = subprocess.run(
        [sys.executable, "-m", "materia_runner", "providers", "list", "--provider", "ovh"],
        cwd=tmp_path,
        env={**os.environ, **cloud.secrets(), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "ovh: the SDK reads ovh.conf in this folder" in ended.stdout
    assert "hush" not in ended.stdout + ended.stderr
