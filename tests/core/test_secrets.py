from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.workshop import Workshop
from materia_runner.secrets.redaction import redact, redact_all

# A quote, a dollar and a line end: what JSON, a shell and a log line would each change.
SECRET = 'tok"en$\n4711'  # noqa: S105 -- made up here
ENVIRONMENT = {"SECRETIVE_TOKEN": SECRET, "COSTLY_TOKEN": "card-number"}


@pytest.fixture
def secretive(folders: Workshop) -> Workshop:
    folders.install("secretive", "fakes.secretive")
    folders.write("materia.toml", 'source = "secretive"\nsink = "folder"\n')
    return folders


def test_a_secret_reaches_its_plugin_and_nothing_else(secretive: Workshop) -> None:
    secretive.run("run", environment=ENVIRONMENT)
    seen = json.loads((secretive.directory / "seen.json").read_text())

    assert seen["secret"] == SECRET
    assert SECRET not in json.dumps(seen["arguments"])
    assert "SECRETIVE_TOKEN" not in seen["environment"]
    assert "COSTLY_TOKEN" not in seen["environment"]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("json_wanted", [False, True])
def test_a_secret_is_in_no_message(secretive: Workshop, crash: bool, json_wanted: bool) -> None:  # noqa: FBT001 -- parameters of the test
    if crash:
        secretive.write("crash", "")

    ended = secretive.run("run", *(["--json"] if json_wanted else []), environment=ENVIRONMENT)

    assert ended.returncode == 1
    said = ended.stdout + ended.stderr
    assert "***" in said
    for part in ('tok"en', "tok\\", "4711"):
        assert part not in said


def test_a_secret_is_on_no_disk(secretive: Workshop) -> None:
    secretive.run("run", environment=ENVIRONMENT)
    (secretive.directory / "seen.json").unlink()

    for path in Path(secretive.directory).parent.rglob("*"):
        assert not path.is_file() or b"4711" not in path.read_bytes(), path


def test_a_missing_secret_is_told_before_anything_starts(secretive: Workshop) -> None:
    ended = secretive.run("run")

    assert ended.returncode == 2
    assert ended.stderr == "materia: secretive: set SECRETIVE_TOKEN to use it\n"
    assert secretive.workers() == []
    assert not (secretive.directory / "seen.json").exists()


def test_the_longest_secret_is_hidden_first() -> None:
    assert redact("abcdef abcd", ["abcd", "abcdef"]) == "*** ***"
    assert redact_all({"a": ["x abcd", 3]}, ["abcd"]) == {"a": ["x ***", 3]}
