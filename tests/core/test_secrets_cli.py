"""`materia secrets`, and where every command looks for secrets, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.esc import TOKEN, Esc, Secret
from fakes.rentals import GOOD_TOKEN
from fakes.workshop import Workshop
from materia_testing.emulation import Fault

VALUE = "s3cret-v4lue$HOME"
CONFIG = 'source = "secretive"\nsink = "folder"\n'
WITH_ESC = f'{CONFIG}[secrets]\nesc = "acme/beanflows/prod"\n'
PRICE = ("providers", "price", "--provider", "hours", "--memory", "8", "--vcpus", "2", "--json")
MISSING = "materia: secretive: set SECRETIVE_TOKEN to use it\n"


@pytest.fixture
def secretive(folders: Workshop) -> Workshop:
    folders.install("secretive", "fakes.secretive")
    folders.write("materia.toml", CONFIG)
    return folders


@pytest.fixture
def esc() -> Iterator[Esc]:
    with Esc() as service:
        service.environments["acme/beanflows/prod"] = {
            "environmentVariables": {"SECRETIVE_TOKEN": Secret(VALUE), "value": "another"}
        }
        yield service


def dotenv(workshop: Workshop, text: str, mode: int = 0o600) -> None:
    workshop.write(".env", text).chmod(mode)


def seen(workshop: Workshop) -> dict[str, Any]:
    """What the plugin saw in its worker."""
    values: dict[str, Any] = json.loads((workshop.directory / "seen.json").read_text())
    return values


def test_the_list_says_what_is_set_and_from_where_and_no_value(
    secretive: Workshop, esc: Esc
) -> None:
    secretive.write("materia.toml", WITH_ESC)
    dotenv(secretive, f"COSTLY_TOKEN='{VALUE}'\n")

    ended = secretive.run("secrets", "list", "--all", environment=esc.secrets())

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    place = lines.index("source secretive  (in use)")
    assert lines[place + 1] == "  SECRETIVE_TOKEN  set, from Pulumi ESC"
    place = lines.index("provider costly")
    assert lines[place + 1] == "  COSTLY_TOKEN  set, from .env"
    place = lines.index("provider hetzner")
    assert lines[place + 1] == "  HCLOUD_TOKEN  missing"
    assert "sink folder: needs no secrets  (in use)" in lines
    for secret in (VALUE, TOKEN):
        assert secret not in ended.stdout + ended.stderr


def test_programs_read_the_same(secretive: Workshop) -> None:
    dotenv(secretive, "broken\n")
    ended = secretive.run("secrets", "list", "--json", environment={"SECRETIVE_TOKEN": "abc"})

    assert json.loads(ended.stdout)["needs"][0] == {
        "kind": "source",
        "name": "secretive",
        "in_use": True,
        "secrets": [
            {"name": "SECRETIVE_TOKEN", "set": True, "from": "environment", "hidden": False}
        ],
    }
    assert ended.stderr == ""
    assert "abc" not in ended.stdout


def test_a_value_too_short_to_hide_is_told(secretive: Workshop) -> None:
    ended = secretive.run("secrets", "list", environment={"SECRETIVE_TOKEN": "abc"})

    assert "set, from the environment; too short to be redacted in output" in ended.stdout


def test_check_is_content_when_everything_is_there(secretive: Workshop) -> None:
    ended = secretive.run("secrets", "check", environment={"SECRETIVE_TOKEN": VALUE})

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "found every required secret"


def test_check_says_what_is_missing(secretive: Workshop) -> None:
    ended = secretive.run("secrets", "check")

    assert ended.returncode == 2
    assert ended.stderr == (
        "materia: secrets are missing\n  source secretive: set SECRETIVE_TOKEN to use it\n"
    )


def test_check_wants_every_provider_that_is_named(secretive: Workshop) -> None:
    secretive.write("materia.toml", f'provider = ["local", "costly"]\n{CONFIG}')
    ended = secretive.run("secrets", "check", "--json", environment={"SECRETIVE_TOKEN": VALUE})

    checked = json.loads(ended.stdout)
    assert ended.returncode == 2
    assert checked["complete"] is False
    assert checked["unmet"] == [{"kind": "provider", "name": "costly"}]


@pytest.mark.parametrize(("variable", "code"), [("COSTLY_TOKEN", 0), ("SOMETHING_ELSE", 2)])
def test_under_auto_one_provider_with_its_secrets_is_enough(
    secretive: Workshop, variable: str, code: int
) -> None:
    secretive.write("materia.toml", f'provider = "auto"\n{CONFIG}')
    environment = {"SECRETIVE_TOKEN": VALUE, variable: VALUE}

    ended = secretive.run("secrets", "check", environment=environment)

    assert ended.returncode == code
    assert ("set HCLOUD_TOKEN to use it; one provider is enough" in ended.stderr) == bool(code)


def test_a_run_takes_a_secret_from_the_file_and_gives_it_to_its_plugin_alone(
    secretive: Workshop,
) -> None:
    dotenv(secretive, f"SECRETIVE_TOKEN={VALUE}\nCOSTLY_TOKEN=card-number\nOTHER=kept-out\n")

    ended = secretive.run("run")

    assert seen(secretive)["secret"] == VALUE
    assert "card-number" not in json.dumps(seen(secretive))
    assert "kept-out" not in json.dumps(seen(secretive))
    assert VALUE not in json.dumps(seen(secretive)["environment"])
    assert VALUE not in ended.stdout + ended.stderr


def test_a_run_takes_a_secret_from_esc_and_keeps_the_token_from_its_worker(
    secretive: Workshop, esc: Esc
) -> None:
    secretive.write("materia.toml", WITH_ESC)

    ended = secretive.run("run", environment=esc.secrets())

    assert seen(secretive)["secret"] == VALUE
    assert TOKEN not in json.dumps(seen(secretive))
    for secret in (VALUE, TOKEN):
        assert secret not in ended.stdout + ended.stderr


def test_esc_that_fails_is_told_with_the_secret_that_is_missing(
    secretive: Workshop, esc: Esc
) -> None:
    secretive.write("materia.toml", WITH_ESC)
    esc.faults.next("POST", "*", Fault(error="forbidden"))

    ended = secretive.run("run", environment=esc.secrets())

    warning, missing = ended.stderr.splitlines(keepends=True)
    assert ended.returncode == 2
    assert warning.startswith("warning: Pulumi ESC acme/beanflows/prod cannot be read: the token")
    assert missing == MISSING


def test_esc_is_nobodys_business_in_a_run_that_needs_no_secret(
    run_folders: Workshop, esc: Esc
) -> None:
    config = (run_folders.directory / "materia.toml").read_text()
    run_folders.write("materia.toml", f'{config}[secrets]\nesc = "acme/beanflows/prod"\n')
    esc.faults.next("*", "*", Fault(error="server_error"), times=None)
    dotenv(run_folders, "not read at all\n", 0o644)

    ended = run_folders.run("run", environment=esc.secrets())

    assert ended.returncode == 0, ended.stderr
    assert "warning" not in ended.stderr
    assert esc.exchanges == []


def test_providers_are_asked_with_secrets_from_the_file(workshop: Workshop) -> None:
    workshop.install("rentals", "fakes.rentals")
    dotenv(workshop, f"HOURS_TOKEN={GOOD_TOKEN}\n", 0o644)

    listed = workshop.run("providers", "list", "--check", "--provider", "hours", "--json")
    priced = workshop.run(*PRICE)

    assert json.loads(listed.stdout)[0]["credentials"] == "good"
    assert priced.returncode == 0, priced.stderr
    assert f"chmod 600 {workshop.directory}/.env" in listed.stderr


def test_kept_prices_are_shown_without_asking_esc(workshop: Workshop, esc: Esc) -> None:
    workshop.install("rentals", "fakes.rentals")
    workshop.write("materia.toml", '[secrets]\nesc = "acme/beanflows/prod"\n')
    esc.environments["acme/beanflows/prod"] = {"environmentVariables": {"HOURS_TOKEN": GOOD_TOKEN}}

    asked = workshop.run(*PRICE, environment=esc.secrets())
    requests = len(esc.exchanges)
    kept = workshop.run(*PRICE, "--offline", environment=esc.secrets())

    assert (asked.returncode, kept.returncode) == (0, 0), asked.stderr + kept.stderr
    assert requests == len(esc.exchanges) == 2
