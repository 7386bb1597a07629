"""Secrets that somebody else's code says aloud, and none of them in what materia says or keeps."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from fakes.workshop import Workshop
from materia_runner.secrets.redaction import redact, to_hide

# A quote, a dollar and a line end: what Python, JSON, a shell and a log line would each change.
TOKEN = "to\"k'en$HOME\n-4711QZ end"  # noqa: S105 -- made up here
PARTS = ("to\"k'en", "to\\\"k'en", "to\"k\\'en", "-4711QZ")
SECRETS = {"LOUD_TOKEN": TOKEN, "LOUD_REGION": "north-7"}


@pytest.fixture
def loud(folders: Workshop) -> Workshop:
    folders.install("loud", "fakes.loud")
    return folders


def planted(text: str) -> list[str]:
    return [part for part in PARTS if part in text]


def kept(workshop: Workshop) -> dict[Path, list[str]]:
    """Every file that has some of it."""
    found = {}
    for path in workshop.directory.parent.rglob("*"):
        if path.is_file():
            found[path] = planted(path.read_bytes().decode(errors="replace"))
    return {path: parts for path, parts in found.items() if parts}


@pytest.mark.parametrize("how", ["expected", "by mistake"])
@pytest.mark.parametrize(
    "command",
    [
        ("run", "--provider", "loud"),
        ("run", "--provider", "loud", "--json"),
        ("plan", "--provider", "loud,local"),
        ("providers", "list", "--provider", "loud"),
        ("providers", "price", "--provider", "loud"),
        ("sweep", "--provider", "loud"),
        ("worker", "create", "--provider", "loud"),
        ("sinks",),
    ],
    ids=" ".join,
)
def test_what_a_plugin_says_of_its_secrets_is_hidden(
    loud: Workshop, command: tuple[str, ...], how: str
) -> None:
    text = f'source = "folder"\nsink = "{"loud" if command == ("sinks",) else "folder"}"\n'
    loud.write(
        "materia.toml", f'{text}[sinks.loud]\nhow = "{how}"\n[providers.loud]\nhow = "{how}"\n'
    )

    ended = loud.run(*command, environment=SECRETS)

    said = ended.stdout + ended.stderr
    assert planted(said) == []
    assert "***" in said
    assert "in north-7" in said, "a place is no secret"
    assert kept(loud) == {}


def test_each_line_of_a_secret_is_hidden_however_a_shell_quotes_it() -> None:
    for line in TOKEN.splitlines():
        for written in (line, shlex.quote(line), "'" + line.replace("'", "'\\''") + "'"):
            assert planted(redact(f"+ {written}", [TOKEN])) == []


def test_places_are_told_and_what_is_not_set_hides_nothing() -> None:
    assert to_hide(("LOUD_TOKEN", "LOUD_REGION", "ABSENT"), SECRETS) == (TOKEN,)


def test_what_builds_packages_for_workers_gets_no_secret(loud: Workshop) -> None:
    program = loud.write("bin/uv", '#!/bin/sh\nenv > "$OUT"\nexit 1\n')
    program.chmod(0o755)
    out = loud.directory / "seen"
    path = f"{program.parent}:/usr/bin:/bin"

    ended = loud.run("artifact", "build", environment={**SECRETS, "PATH": path, "OUT": str(out)})

    assert ended.returncode == 1, ended.stderr
    seen = out.read_text()
    assert f"PATH={path}" in seen
    assert "LOUD" not in seen
