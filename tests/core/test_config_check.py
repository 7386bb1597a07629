"""`materia config check`: every mistake of materia.toml at once, and nothing else happens."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.workshop import Workshop
from materia import Opening
from materia.errors import ConfigError, MateriaError
from materia.plugins import InstalledPlugin
from materia_runner.bundled import load_registry
from materia_runner.config.check import check
from materia_runner.config.load import load_config, read_config
from materia_runner.config.table import Mistake

REGISTRY = load_registry(bundled_only=True)
EVERYTHING_WRONG = """\
sorce = "psdonline"
provider = ["hetzner", "ohv"]
sink = "s4"

[transform]
project = "nowhere"

[stages.extract]
vcpus = "4"
minutes = 30
deadline_minutes = 20

[stage.transform]
vcpus = 8

[sources.psdonline]
base_url = "no/such/folder"
first_release = "never"

[providers.hetzner]
token = "abc"
api_url = "api.hetzner.cloud"
ssh_port = 70000

[sinks.s3]
region = "eu west"
"""
WRONG_KEYS = [
    "sorce",
    "provider",
    "sink",
    "transform.project",
    "stages.extract.vcpus",
    "stages.extract.deadline_minutes",
    "stage",
    "sources.psdonline.base_url",
    "sources.psdonline.first_release",
    "providers.hetzner.token",
    "providers.hetzner.api_url",
    "providers.hetzner.ssh_port",
    "sinks.s3.bucket",
    "sinks.s3.region",
]


def mistakes_in(
    tmp_path: Path, text: str, secrets: dict[str, str] | None = None
) -> tuple[Mistake, ...]:
    (tmp_path / "materia.toml").write_text(text)
    return check(REGISTRY, read_config(REGISTRY, path=None, start=tmp_path), secrets or {})


def keys(mistakes: tuple[Mistake, ...]) -> list[str]:
    return [one.key for one in mistakes]


def test_every_mistake_is_found_in_one_reading_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = mistakes_in(tmp_path, EVERYTHING_WRONG)

    # A key that is missing stands where its table is.
    assert sorted(keys(found)) == sorted(WRONG_KEYS)
    assert [key for key in keys(found) if key != "sinks.s3.bucket"] == [
        key for key in WRONG_KEYS if key != "sinks.s3.bucket"
    ]
    assert all(one.file == str(tmp_path / "materia.toml") for one in found)
    assert all(one.message.startswith(f"{one.file}: ") for one in found)
    assert all(one.key in one.message for one in found)


def test_a_run_stops_at_all_mistakes_of_the_file_at_once(workshop: Workshop) -> None:
    path = workshop.write("materia.toml", "sorce = 'a'\n[stages.extract]\nvcpus = 0\n")

    ended = workshop.run("run")

    assert ended.returncode == 2
    first, second = ended.stderr.splitlines()
    assert first.startswith(f"materia: {path}: unknown key sorce (did you mean 'source'?)")
    assert second == (
        f"materia: {path}: stages.extract.vcpus must be a whole number from 1 up, is 0"
    )


def test_a_mistake_makes_no_other_key_wrong(tmp_path: Path) -> None:
    text = """
        [currency]
        code = "euro"
        [stages.extract]
        minutes = "30"
        deadline_minutes = 5
        [artifacts]
        bucket = 3
        region = "eu"
        [sources]
        psdonline = 3
        [providers.ovh]
        api_url = "ca.api.ovh.com"
        subsidiary = "CA"
    """

    assert keys(mistakes_in(tmp_path, text)) == [
        "currency.code",
        "stages.extract.minutes",
        "artifacts.bucket",
        "sources.psdonline",
        "providers.ovh.api_url",
    ]


def test_a_file_that_cannot_be_parsed_is_one_mistake_without_a_key(tmp_path: Path) -> None:
    (found,) = mistakes_in(tmp_path, "source = \n")

    assert found.key == ""
    assert "is not valid TOML: Invalid value (at line 1" in found.message


def test_settings_are_checked_of_plugins_in_use_and_of_tables_with_a_key(tmp_path: Path) -> None:
    assert keys(mistakes_in(tmp_path, 'sink = "s3"')) == ["sinks.s3.bucket"]
    assert keys(mistakes_in(tmp_path, "[sinks.s3]\n")) == []
    assert keys(mistakes_in(tmp_path, '[sinks.s3]\nregion = "eu"')) == ["sinks.s3.bucket"]
    assert keys(mistakes_in(tmp_path, 'sink = "s3"\n[sinks.s3]\nbucket = "s3://bucket"')) == []


WORD = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f'HCLOUD_TOKEN = "{WORD}"', "HCLOUD_TOKEN"),
        (f'[secrets]\nHCLOUD_TOKEN = "{WORD}"', "secrets.HCLOUD_TOKEN"),
        (f'[providers.hetzner]\ntoken = "{WORD}"', "providers.hetzner.token"),
        (f'[providers.hetzner]\nhcloud-token = "{WORD}"', "providers.hetzner.hcloud-token"),
    ],
)
def test_a_key_that_is_meant_for_a_secret_names_the_variable_and_its_places(
    tmp_path: Path, text: str, key: str
) -> None:
    (found,) = mistakes_in(tmp_path, text)

    assert found.message == (
        f"{found.file}: unknown key {key}: HCLOUD_TOKEN is a variable; set it in the environment "
        "or in .env, and take it out of this file"
    )


def test_the_value_of_a_secret_is_found_under_any_key_and_never_shown(workshop: Workshop) -> None:
    workshop.write(".env", f"HCLOUD_TOKEN={WORD}\n")
    text = f'[sources.psdonline]\nbase_url = "https://host/{WORD}"\nfiles = ["{WORD}"]\n'
    workshop.write("materia.toml", text)

    ended = workshop.run("config", "check")

    assert ended.returncode == 2
    assert "sources.psdonline.base_url contains the value of HCLOUD_TOKEN, a secret" in ended.stderr
    assert WORD not in ended.stderr + ended.stdout
    assert WORD not in workshop.run("config", "check", "--json").stdout


def test_an_account_may_be_named_by_an_id_that_is_also_a_variable(tmp_path: Path) -> None:
    tenancy = {"OCI_CLI_TENANCY": "ocid1.tenancy.oc1..aaaa"}
    text = f'[providers.oracle]\ncompartment = "{tenancy["OCI_CLI_TENANCY"]}"'

    assert mistakes_in(tmp_path, text, tenancy) == ()


def test_a_file_without_mistakes_is_named_and_the_one_that_init_writes_is_such(
    workshop: Workshop,
) -> None:
    workshop.run("init")

    ended = workshop.run("config", "check")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{workshop.directory / 'materia.toml'}: no mistakes\n"


def test_without_a_file_there_is_no_mistake(workshop: Workshop) -> None:
    ended = workshop.run("config", "check")
    as_json = workshop.run("config", "check", "--json")

    assert (ended.returncode, as_json.returncode) == (0, 0)
    assert ended.stdout.startswith("no materia.toml here or in a folder above")
    assert json.loads(as_json.stdout) == {"file": None, "mistakes": []}


def test_json_has_file_key_and_message_of_each_mistake(workshop: Workshop) -> None:
    path = workshop.write("other.toml", 'sink = "duckbd"\n[budget]\nrun = -1\n')

    ended = workshop.run("config", "check", "--json", "--config", "other.toml")

    assert (ended.returncode, ended.stderr) == (2, "")
    document = json.loads(ended.stdout)
    assert document["file"] == path.name
    assert [one["key"] for one in document["mistakes"]] == ["sink", "budget.run"]
    assert {one["file"] for one in document["mistakes"]} == {path.name}
    assert "did you mean 'duckdb'?" in document["mistakes"][0]["message"]


def test_it_writes_nothing_and_connects_to_nothing(workshop: Workshop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        providers = "".join(
            f'[providers.{name}]\napi_url = "{url}"\n'
            for name in ("hetzner", "ovh", "scaleway", "oracle")
        )
        workshop.write(
            "materia.toml",
            f'provider = "auto"\nsink = "s3"\n[secrets]\nesc = "a/b/c"\n{providers}'
            f'[sinks.s3]\nbucket = "s3://bucket"\nendpoint = "{url}"\n'
            f'[sources.psdonline]\nbase_url = "{url}/archive"\n',
        )
        before = sorted(workshop.directory.rglob("*"))
        environment = {
            "PULUMI_ACCESS_TOKEN": "pul-0123456789",
            "PULUMI_BACKEND_URL": url,
            "HCLOUD_TOKEN": "token-token",
        }

        ended = workshop.run("config", "check", environment=environment)

        assert (ended.returncode, ended.stderr) == (0, "")
        assert sorted(workshop.directory.rglob("*")) == before
        assert list(workshop.home.iterdir()) == []
        with pytest.raises(BlockingIOError):
            server.accept()


def test_every_bundled_plugin_that_can_refuse_a_setting_has_a_check() -> None:
    unchecked = {one.plugin.name for one in REGISTRY.found if one.plugin.check is None}

    assert unchecked == {"local"}  # any text is the name of a folder


def test_a_check_imports_no_sdk_and_needs_no_secret() -> None:
    program = (
        "import sys; from pathlib import Path; from materia import Opening;"
        "from materia_runner.bundled import load_registry\n"
        "for found in load_registry(bundled_only=True).found:\n"
        "    plugin = found.plugin\n"
        "    settings = {one.name: one.default for one in plugin.settings}\n"
        "    needed = {'bucket': 's3://bucket', 'catalog': 'https://catalog.example'}\n"
        "    settings |= {name: needed[name] for name in needed.keys() & settings.keys()}\n"
        "    if plugin.check: plugin.check(\n"
        "        Opening(secrets={}, settings=settings, directory=Path()))\n"
        "print(*sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    heavy = {
        "hcloud",
        "oci",
        "ovh",
        "scaleway",
        "duckdb",
        "httpx",
        "requests",
        "sqlmesh",
    }
    assert heavy & set(ended.stdout.split()) == set()


WRONG = [
    ("provider", "hetzner", {"api_url": "x", "ssh_port": 70_000}),
    ("provider", "ovh", {"project": "x", "ssh_port": 70_000}),
    ("provider", "scaleway", {"project": "x", "regions": ("x",)}),
    ("provider", "oracle", {"subnet": "x", "price_list_url": "x"}),
    ("source", "psdonline", {"files": (), "first_release": "x"}),
    ("sink", "duckdb", {"path": "a?b"}),
    ("sink", "s3", {"bucket": "x", "region": "a b"}),
]


@pytest.mark.parametrize(("kind", "name", "changes"), WRONG, ids=[name for _, name, _ in WRONG])
def test_a_check_names_each_key_and_opening_refuses_the_same(
    tmp_path: Path, kind: str, name: str, changes: dict[str, object]
) -> None:
    (found,) = [one for one in REGISTRY.found if (one.kind, one.plugin.name) == (kind, name)]
    settings = {one.name: one.default for one in found.plugin.settings} | changes

    said = [
        refusal(found, call, settings, tmp_path) for call in (found.plugin.check, found.plugin.open)
    ]

    assert said[0] == said[1]
    assert {text.split()[0] for text in said[0]} == {f"{kind}s.{name}.{key}" for key in changes}


def refusal(
    found: InstalledPlugin[object], call: object, settings: dict[str, object], folder: Path
) -> list[str]:
    assert callable(call)
    secrets = {} if call is found.plugin.check else dict.fromkeys(found.plugin.secrets, "x")
    with pytest.raises(ConfigError) as raised:
        call(Opening(secrets=secrets, settings=settings, directory=folder))
    return [str(one) for one in raised.value.args]


def test_an_error_of_several_mistakes_is_one_line_for_each(tmp_path: Path) -> None:
    (tmp_path / "materia.toml").write_text("sorce = 1\nsimk = 2\n")

    with pytest.raises(MateriaError) as raised:
        load_config(REGISTRY, path=None, start=tmp_path)

    assert len(str(raised.value).splitlines()) == 2


def test_a_file_that_no_reader_can_follow_is_a_mistake(workshop: Workshop) -> None:
    file = workshop.directory / "materia.toml"
    file.symlink_to(file)
    looped = workshop.run("config", "check", "--config", "materia.toml")
    file.unlink()
    file.write_text(f"a = {'[' * 3000}{']' * 3000}")
    deep = workshop.run("config", "check")

    assert (looped.returncode, deep.returncode) == (2, 2)
    assert "materia.toml: cannot be read: Too many levels of symbolic links" in looped.stderr
    assert "materia.toml: is not valid TOML: its lists are too deep" in deep.stderr
