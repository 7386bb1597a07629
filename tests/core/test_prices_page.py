"""docs/prices.md: its examples are run, and its rules are those that the plugins bill by."""

from __future__ import annotations

import doctest
import importlib
import re
from datetime import timedelta
from pathlib import Path

import pytest
from materia.compute import Billing
from materia_runner.cli.commands.machines.providers import app
from typer.core import TyperGroup
from typer.main import get_command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "prices.md"
RULES = {
    "Hetzner": ("materia_hetzner.offers", "BILLING"),
    "OVHcloud": ("materia_ovh.offers", "BILLING"),
    "Scaleway": ("materia_scaleway.prices", "STARTED_HOURS"),
    "Oracle": ("materia_oracle.catalog.shapes", "PER_SECOND"),
}
UNITS = {
    (timedelta(hours=1), "start"): "started hours",
    (timedelta(hours=1), "clock"): "clock hours touched",
    (timedelta(seconds=1), "start"): "seconds",
}
LEAST = {timedelta(hours=1): "1 hour", timedelta(minutes=1): "1 minute"}
METER = {"create": "at creation", "active": "when the instance is active"}


def column(provider: str) -> dict[str, str]:
    """What the table of rules says of a provider, by the first cell of the row."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ")
    ]
    head = next(row for row in rows if provider in row)
    number = head.index(provider)
    table = rows[rows.index(head) :]
    return {row[0]: row[number] for row in table if len(row) == len(head)}


def test_the_examples_give_what_they_say() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)

    assert result.attempted > 15
    assert result.failed == 0


@pytest.mark.parametrize("provider", RULES)
def test_the_rules_are_those_the_plugin_bills_by(provider: str) -> None:
    module, name = RULES[provider]
    rule: Billing = getattr(importlib.import_module(module), name)
    said = column(provider)

    assert said["time is rounded up to"] == UNITS[rule.increment, rule.alignment]
    assert said["at least"] == LEAST[rule.minimum]
    assert said["meter starts"] == METER[rule.meter_from]
    assert said["read on"].startswith(str(rule.read_on))
    assert rule.source in PAGE.read_text()


def test_every_option_in_the_page_is_one_of_the_commands() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    options = {
        option
        for command in group.commands.values()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }

    said = set(re.findall(r"--[a-z]+", PAGE.read_text()))

    assert said <= options
