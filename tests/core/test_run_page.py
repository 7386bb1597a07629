"""docs/run.md: its examples are run, and its figures are those of the code."""

from __future__ import annotations

import doctest
import re
import tomllib
from pathlib import Path

import pytest
from materia_runner.bundled import load_registry
from materia_runner.cli.main import app
from materia_runner.config.parse import parse_config
from materia_runner.planning.plan import BOOT_LIMIT, TEARDOWN_LIMIT
from materia_runner.planning.search import BOOT
from typer.main import get_command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "run.md").read_text()
TOML = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
REGISTRY = load_registry(bundled_only=True)


def test_the_examples_give_what_they_say() -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(doctest.DocTestParser().get_doctest(PAGE, {}, "run.md", "run.md", 0))

    assert runner.tries > 20
    assert runner.failures == 0


def test_the_needs_in_the_page_are_the_defaults(tmp_path: Path) -> None:
    said = parse_config(tomllib.loads(TOML[0]), REGISTRY, name="run.md", directory=tmp_path)

    assert said == parse_config({}, REGISTRY, name="run.md", directory=tmp_path)


@pytest.mark.parametrize("text", TOML)
def test_every_setting_in_the_page_is_one(text: str, tmp_path: Path) -> None:
    assert parse_config(tomllib.loads(text), REGISTRY, name="run.md", directory=tmp_path).stages


def test_the_times_in_the_page_are_those_of_the_plan() -> None:
    text = " ".join(PAGE.split())
    assert BOOT.total_seconds() == 60
    assert "less a minute for each boot" in text
    boot, end = (limit.total_seconds() / 60 for limit in (BOOT_LIMIT, TEARDOWN_LIMIT))
    assert f"{boot:.0f} minutes to boot and {end:.0f} minutes to be gone" in text


def options_of(command: object) -> set[str]:
    """The long options of a command and of all below it."""
    below = getattr(command, "commands", {}).values()
    own = {option for one in getattr(command, "params", ()) for option in one.opts}
    return own.union(*(options_of(one) for one in below))


def test_every_option_in_the_page_is_one_of_the_commands() -> None:
    said = set(re.findall(r"--[a-z-]+[a-z]", PAGE)) - {"--extra", "--inexact"}  # of uv

    assert said <= options_of(get_command(app))
