"""Settings of the hetzner plugin, and what it needs of its SDK."""

from __future__ import annotations

from pathlib import Path

import hcloud
import pytest
from materia import Opening
from materia.errors import ConfigError
from materia_hetzner import materia_providers, open_hetzner
from materia_hetzner.provider import Hetzner
from materia_hetzner.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"api_url": "api.hetzner.cloud"}, r"providers.hetzner.api_url must be an address"),
        ({"ssh_port": 70000}, r"providers.hetzner.ssh_port must be from 1 to 65535, is 70000"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(values)


def test_the_plugin_opens_with_its_declared_defaults(tmp_path: Path) -> None:
    (plugin,) = materia_providers()
    settings = {setting.name: setting.default for setting in plugin.settings}

    opening = Opening(secrets={"HCLOUD_TOKEN": "t"}, settings=settings, directory=tmp_path)

    assert isinstance(open_hetzner(opening), Hetzner)
    assert read_settings(settings) == Settings()


def test_the_waiting_of_the_sdk_can_still_be_hurried() -> None:
    client = hcloud.Client("t")

    assert callable(client._client._retry_interval_func)
