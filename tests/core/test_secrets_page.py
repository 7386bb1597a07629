"""docs/secrets.md: its examples are run, against an ESC that holds what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.esc import TOKEN, Esc, Secret
from fakes.workshop import Workshop
from materia_runner.secrets.dotenv import read_env_file

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "secrets.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def esc() -> Iterator[Esc]:
    [definition] = blocks("yaml")
    names = re.findall(r"^    (\w+):", definition, re.MULTILINE)
    with Esc() as service:
        service.environments["acme/beanflows/prod"] = {
            "environmentVariables": {name: Secret("11111111-2222") for name in names}
        }
        yield service


@pytest.mark.parametrize("block", blocks("console"))
def test_a_command_says_what_the_page_says(workshop: Workshop, esc: Esc, block: str) -> None:
    [config], [dotenv] = blocks("toml"), blocks("dotenv")
    workshop.write("materia.toml", config)
    workshop.write(".env", dotenv).chmod(0o600)
    assert TOKEN in dotenv
    command, _, expected = block.removeprefix("$ ").partition("\n")
    command = command.replace("materia ", f"{sys.executable} -P -m materia_runner ")

    done = subprocess.run(  # noqa: S602 -- the page is ours
        f"{command} 2>&1",
        shell=True,
        cwd=workshop.directory,
        env=workshop.environment(PULUMI_BACKEND_URL=esc.url),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == expected


def test_a_line_of_the_file_means_what_the_page_says(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(.+)` \| (.+) \|$", PAGE, re.MULTILINE)
    for line, meant in rows:
        path = tmp_path / ".env"
        path.write_text(f"{line}\n")
        path.chmod(0o600)
        file = read_env_file(path)
        if meant == "cannot be read":
            assert (file.values, len(file.problems)) == ({}, 1)
        else:
            assert file.values == {"A": meant.strip("`")}

    assert len(rows) >= 8


def test_the_page_has_examples() -> None:
    assert len(blocks("console")) == 2
