from __future__ import annotations

from pathlib import Path

import pytest
from materia.errors import ConfigError
from materia_psdonline import materia_sources
from materia_psdonline.settings import ALL, BREAKDOWNS, GROUPS, Settings, read_settings

PLUGIN = materia_sources()[0]
DEFAULTS = {setting.name: setting.default for setting in PLUGIN.settings}


def read(tmp_path: Path, **settings: object) -> Settings:
    return read_settings({**DEFAULTS, **settings}, directory=tmp_path)


def test_without_settings_all_commodities_are_read_from_usda(tmp_path: Path) -> None:
    settings = read(tmp_path)

    assert settings.base == "https://apps.fas.usda.gov/psdonline/downloads/archives"
    assert settings.folder is None
    assert settings.files == (ALL,)
    assert f"{settings.first:%Y-%m-%d}" == "2006-08-01"


def test_a_slash_at_the_end_of_an_address_does_not_matter(tmp_path: Path) -> None:
    assert read(tmp_path, base_url="http://host:8080/psd/").base == "http://host:8080/psd"


def test_a_relative_folder_starts_where_the_configuration_is(tmp_path: Path) -> None:
    mirror = tmp_path / "my mirror"
    mirror.mkdir()

    settings = read(tmp_path, base_url="my mirror")

    assert settings.folder == mirror
    assert settings.base == mirror.as_uri()


def test_a_file_address_is_a_folder(tmp_path: Path) -> None:
    mirror = tmp_path / "my mirror"
    mirror.mkdir()

    assert read(tmp_path, base_url=mirror.as_uri()) == read(tmp_path, base_url="my mirror")


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("nowhere", "a folder that exists"),
        ("file:///nowhere/at/all", "a folder that exists"),
        ("file://host/folder", "file:///folder"),
        ("ftp://host/folder", "an http:, https: or file: address, or a folder"),
        ("https://", "an address such as https://host/folder"),
        ("https://host/folder?key=1", "an address such as https://host/folder"),
        ("https://host:port/", "an address or a folder"),
        ("https://[host/", "an address or a folder"),
    ],
)
def test_a_wrong_address_is_named_with_what_is_expected(
    tmp_path: Path, base_url: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, base_url=base_url)

    assert "sources.psdonline.base_url must be " in str(raised.value)
    assert expected in str(raised.value)
    assert repr(base_url) in str(raised.value)


def test_an_address_with_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no user name and no password") as raised:
        read(tmp_path, base_url="https://me:swordfish@host/")

    assert "swordfish" not in str(raised.value)


@pytest.mark.parametrize("first", ["2006", "2006-13", "2006-8", "08-2006", "2006-08-01", "", 2006])
def test_a_wrong_month_is_named_with_what_is_expected(tmp_path: Path, first: object) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, first_release=first)

    assert str(raised.value) == (
        f"sources.psdonline.first_release must be a month such as 2006-08, is {first!r}"
    )


def test_files_of_single_groups_can_be_chosen(tmp_path: Path) -> None:
    chosen = ["psd_coffee_csv.zip", "psd_grains_pulses_csv.zip"]

    assert read(tmp_path, files=chosen).files == tuple(chosen)


def test_files_of_breakdowns_can_stand_beside_all_commodities(tmp_path: Path) -> None:
    assert read(tmp_path, files=[ALL, *BREAKDOWNS]).files == (ALL, *BREAKDOWNS)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_beside_all_commodities_is_refused_as_it_would_count_twice(
    tmp_path: Path, group: str
) -> None:
    with pytest.raises(ConfigError, match=f"every row of {group} is in {ALL} too and would count"):
        read(tmp_path, files=[ALL, group])


def test_a_misspelt_file_brings_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 'psd_cofee_csv.zip' \(did you mean 'psd_coffee_"):
        read(tmp_path, files=["psd_cofee_csv.zip"])


@pytest.mark.parametrize("files", [[], "psd_alldata_csv.zip"])
def test_files_are_a_list_that_is_not_empty(tmp_path: Path, files: object) -> None:
    with pytest.raises(ConfigError, match="files must be a list of files such as psd_alldata"):
        read(tmp_path, files=files)


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has psd_alldata_csv\.zip twice"):
        read(tmp_path, files=[ALL, ALL])
