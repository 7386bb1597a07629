"""The providers that come with materia speak one dialect: who knows one, knows all."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.renting import opening, request_for
from materia import Provider
from materia.compute import Requirements
from materia.errors import ConfigError, MateriaError, ProviderError
from materia.kit.fit import misfit
from materia_providers import api_errors, teardown
from materia_runner.bundled import load_registry
from materia_testing.emulation.services import find_services, service_class

NAMES = sorted(find_services())
ROLES = {
    "__init__.py",
    "client.py",
    "errors.py",
    "inventory.py",
    "offers.py",
    "provider.py",
    "settings.py",
    "teardown.py",
}
EMULATOR = {
    "__init__.py",
    "bodies.py",
    "catalog.py",
    "errors.py",
    "service.py",
    "things.py",
}


def folder(name: str) -> Path:
    return Path(str(importlib.import_module(f"materia_{name}").__file__)).parent


def open_with(name: str, **settings: object) -> Provider:
    found = load_registry(bundled_only=True).provider(name)
    with service_class(name)() as cloud:
        return found.plugin.open(opening(cloud, **settings))


def test_there_are_four() -> None:
    assert NAMES == ["hetzner", "oracle", "ovh", "scaleway"]


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_file_for_each_role(name: str) -> None:
    assert {path.name for path in folder(name).glob("*.py")} >= ROLES
    assert {path.name for path in (folder(name) / "emulator").glob("*.py")} >= EMULATOR


def test_the_guide_names_the_file_of_each_role() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs/plugins.md").read_text()

    assert [role for role in sorted(ROLES) if f"| `{role}` |" not in guide] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_reads_its_settings_from_the_values_and_has_the_defaults_it_declares(
    name: str,
) -> None:
    settings = importlib.import_module(f"materia_{name}.settings")
    plugin = load_registry(bundled_only=True).provider(name).plugin
    declared = {setting.name: setting.default for setting in plugin.settings}

    assert settings.read_settings({}) == settings.Settings()
    assert settings.read_settings(declared) == settings.Settings()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("url", ["api.example", "https://", "ftp://api.example", "https://a b"])
def test_an_address_of_an_api_that_is_none_is_refused_in_the_same_words(
    name: str, url: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        open_with(name, api_url=url)

    said = str(raised.value)
    assert said.startswith(f"providers.{name}.api_url must be an address such as https://")
    assert said.endswith(f"is {url.rstrip('/')!r}")


@pytest.mark.parametrize("name", NAMES)
def test_a_port_that_is_none_is_refused_in_the_same_words(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        open_with(name, ssh_port=70000)

    assert str(raised.value) == f"providers.{name}.ssh_port must be from 1 to 65535, is 70000"


@pytest.mark.parametrize("name", NAMES)
def test_each_translates_the_unexpected_into_an_error_of_materia(name: str) -> None:
    errors = importlib.import_module(f"materia_{name}.errors")

    with pytest.raises(ProviderError) as raised, errors.translated("read the list"):
        raise RuntimeError("of some library")

    assert str(raised.value).startswith(f"{name}: ")
    assert isinstance(errors.translate(ValueError("odd"), "read the list"), MateriaError)


@pytest.mark.parametrize("name", NAMES)
def test_no_provider_has_an_error_class_or_a_teardown_of_its_own(name: str) -> None:
    errors = importlib.import_module(f"materia_{name}.errors")
    own = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, MateriaError)
        and kind.__module__.startswith(f"materia_{name}")
    ]

    assert own == []
    assert "poll(" not in (folder(name) / "teardown.py").read_text()
    assert {"BusyRateError", "GoneError", "UnansweredError"} <= set(api_errors.__all__)
    assert "ForeignError" in teardown.__all__


@pytest.mark.parametrize("name", NAMES)
def test_each_sends_user_data_as_it_is_and_reads_nothing_in_it(name: str) -> None:
    text = "#cloud-config\n{}\n"  # without a host key, which is the runner's to send and to check
    needs = Requirements(
        vcpus=2, memory_gib=Decimal(4), disk_gib=20, expected=timedelta(minutes=10)
    )
    found = load_registry(bundled_only=True).provider(name)
    with service_class(name)() as cloud:
        provider = found.plugin.open(opening(cloud))
        today = datetime.now(UTC).date()
        offer = next(one for one in provider.offers(needs) if misfit(one, needs, today) is None)
        made = provider.create_instance(request_for(offer, user_data=text))

        assert cloud.user_data(made.id) == text
