"""Settings of the infrastructure, user data and the environment: pure, without Pulumi."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types
from fakes.infra_settings import KEY, SETTINGS, SUPERVISOR
from materia_infra.environment import environment_text
from materia_infra.settings import SettingsError, public_part
from materia_infra.user_data import user_data

ROOT = Path(__file__).parents[2]
CLOUD_INIT = shutil.which("cloud-init")


def test_the_public_host_key_is_read_from_the_private_one() -> None:
    assert public_part(KEY.private) == KEY.public


@pytest.mark.parametrize(
    "key",
    ["", "secret", KEY.public, KEY.private[:80], KEY.private[30:]],
    ids=["empty", "text", "public", "cut", "headless"],
)
def test_a_text_that_is_no_private_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SettingsError, match="ssh-keygen -t ed25519") as raised:
        public_part(key)

    assert not key or key not in str(raised.value)


def test_a_host_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "phrase", "-f", str(file)]
    subprocess.run(command, check=True)

    with pytest.raises(SettingsError, match="without a passphrase"):
        public_part(file.read_text())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"account": "acme"}, "cloudflareAccount must be an account id"),
        ({"artifacts_bucket": "Materia"}, "artifactsBucket must be a name of a bucket"),
        ({"data_bucket": "materia-artifacts"}, "must be two buckets"),
        ({"location": "moon"}, "bucketLocation must be one of apac"),
        ({"jurisdiction": "us"}, "jurisdiction must be one of default, eu"),
        ({"stack": "prod\nx: 1"}, "stack must be a name"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_made(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        replace(SETTINGS, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ssh_from": ("203.0.113.7/8",)}, "sshFrom: 203.0.113.7/8 has host bits set"),
        ({"login_key": KEY.private}, "loginKey must be a public SSH key"),
        ({"server_type": "cx 23"}, "serverType must be a name"),
    ],
)
def test_a_wrong_setting_of_the_supervisor_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        replace(SUPERVISOR, **changes)


def test_a_private_key_in_place_of_the_public_one_is_not_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        replace(SUPERVISOR, login_key=KEY.private)

    assert KEY.private.splitlines()[1] not in str(raised.value)


def test_user_data_has_the_first_host_key_and_no_other_secret() -> None:
    text = user_data(SUPERVISOR)
    values = json.loads(text.removeprefix("#cloud-config\n"))

    assert values.pop("ssh_keys") == {
        "ed25519_private": KEY.private,
        "ed25519_public": KEY.public,
    }
    assert values["ssh_pwauth"] is False
    assert [user["name"] for user in values["users"]] == ["materia"]
    assert "TOKEN" not in text


@pytest.mark.skipif(CLOUD_INIT is None, reason="cloud-init is not installed")
def test_cloud_init_finds_no_fault_in_the_user_data(tmp_path: Path) -> None:
    file = tmp_path / "user-data"
    file.write_text(user_data(SUPERVISOR))
    done = subprocess.run(
        [str(CLOUD_INIT), "schema", "--config-file", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Valid")


def test_pulumi_runs_in_the_environment_of_the_clone_and_finds_pip_there() -> None:
    """The environments of uv have no pip, and Pulumi's language host fails without it."""
    project = yaml.safe_load((ROOT / "infra/Pulumi.yaml").read_text())
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]

    environment = ROOT / "infra" / project["runtime"]["options"]["virtualenv"]
    assert environment.resolve() == ROOT.resolve() / ".venv"
    assert [one for one in groups["infra"] if one.startswith("pip>")]


@pytest.mark.parametrize("catalog", [False, True])
def test_the_environment_has_no_secret_and_names_where_each_one_is(*, catalog: bool) -> None:
    values = yaml.safe_load(environment_text(replace(SETTINGS, catalog=catalog)))

    # Anyone who opens the environment also gets every value that it imports.
    stack = yaml.safe_load((ROOT / "infra/Pulumi.prod.yaml").read_text())
    assert stack["environment"] == ["beanflows/accounts"]
    assert values["imports"] == ["beanflows/workers"]
    stacks = values["values"]["stacks"]["fn::open::pulumi-stacks"]["stacks"]
    assert stacks == {"infra": {"stack": "materia-infra/prod"}}
    variables = values["values"]["environmentVariables"]
    assert all(one.startswith("${") and one.endswith("}") for one in variables.values())
    assert ("ICEBERG_TOKEN" in variables) is catalog
    assert [one for one in variables.values() if "stacks" not in one] == ["${hetzner}"]
