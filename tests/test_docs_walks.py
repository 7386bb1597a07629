"""The quickstart, the first rented run and production are walked from their pages alone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.rented import Rented, with_packages
from fakes.s3 import KEY, SECRET, S3Server
from fakes.walk import ROOT, files, steps, sums, walk
from fakes.webhook import WebhookServer
from fakes.workshop import Workshop
from materia_runner.cli.commands.machines.emulator import toml
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not())),
]
QUICK, FIRST, PRODUCTION = (
    (ROOT / f"docs/{name}.md").read_text()
    for name in ("quickstart", "first-rented-run", "production")
)
RENT = ("run --sample", "artifact push", "artifact list", "runs", "tables", "query")
SYSTEMCTL = '#!/bin/sh\ncase "$*" in *show*) echo LoadState=loaded ;; esac\n'


class Desk:
    """A user's clone: the emulated cloud of Hetzner, and an overlay that points at it."""

    def __init__(self, folder: Path, page: str, changes: dict[str, str]) -> None:
        self.workshop = Workshop(folder)
        self.rented = Rented(self.workshop, ["hetzner"], cache=folder / "cache")
        cloud = self.rented.clouds["hetzner"]
        port = {} if self.rented.machines.port == 22 else {"ssh_port": self.rented.machines.port}
        overlay = self.workshop.home / "providers.toml"
        overlay.write_text(toml({"hetzner": {**cloud.settings(), **port}}))
        programs = self.workshop.home / "bin"
        programs.mkdir()
        (programs / "systemctl").write_text(SYSTEMCTL)
        (programs / "systemctl").chmod(0o755)
        self.environment = {
            **with_packages(),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "MATERIA_PROVIDER_SETTINGS": str(overlay),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        secret = cloud.secrets()["HCLOUD_TOKEN"]
        for name, text in files(page).items():
            written = re.sub(r"^(HCLOUD_TOKEN=).*$", rf"\g<1>'{secret}'", text, flags=re.MULTILINE)
            for old, new in changes.items():
                written = written.replace(old, new)
            self.workshop.write(name, written)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.workshop.run(*arguments, environment=self.environment)

    def walk(self, page: str, skip: tuple[str, ...] = ()) -> list[str]:
        return walk(page, self.run, self.workshop.directory, ("emulator", *skip))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, FIRST, {})
    with desk.rented:
        yield desk


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Desk]:
    server = S3Server()
    webhook = WebhookServer()
    changes = {
        "acme-data": server.new_bucket(),
        "acme-artifacts": server.new_bucket(),
        "https://0123456789abcdef.r2.cloudflarestorage.com": server.endpoint,
        'region = "auto"': 'region = "us-east-1"',
        "the access key of the tables": KEY,
        "the access key of the artifacts": KEY,
        "its secret": SECRET,
        "https://hc-ping.com/the-check-of-": f"{webhook.address}/",
    }
    desk = Desk(tmp_path, PRODUCTION, changes)
    with desk.rented:
        yield desk
    webhook.close()
    server.close()


def test_the_quickstart_names_commands_that_there_are(workshop: Workshop) -> None:
    for step in steps(QUICK):
        words = step.command.split()
        if words[:3] == ["uv", "run", "materia"]:
            command = [word for word in words[3:5] if word.isalpha() and word.islower()]
            done = workshop.run(*command, "--help")
            assert done.returncode == 0, step.command


def test_the_first_run_is_planned_as_its_page_shows(desk: Desk) -> None:
    done = desk.walk(FIRST, RENT)

    assert "uv run materia plan" in done
    assert desk.rented.left() == []


def test_the_costs_of_the_first_run_add_up_to_what_its_plan_expects() -> None:
    rows = sums(FIRST, "What it costs")

    assert f"expected total   {rows[-1][1]}" in FIRST  # what the emulated cloud answers, too
    assert f"| It costs | {rows[-1][1]} net of VAT" in FIRST
    for column, times in ((1, 1), (2, 4), (3, 30)):
        amounts = [Decimal(row[column].split()[0]) for row in rows]
        assert sum(amounts[:-1]) == amounts[-1]
        assert amounts[-1] == times * Decimal(rows[-1][1].split()[0])


def test_a_month_of_production_costs_what_its_page_says() -> None:
    rows = sums(PRODUCTION, "What a month costs")
    monthly = [Decimal(row[2].split()[0]) for row in rows]
    runs = sums(FIRST, "What it costs")

    assert sum(monthly[:-1]) == monthly[-1]
    for row in rows[:-1]:
        count = int(found[0]) if (found := re.findall(r"^(\d+) ", row[0])) else 1
        assert count * Decimal(row[1].split()[0]) == Decimal(row[2].split()[0])
    assert [rows[0][2], rows[1][2]] == [runs[0][3], runs[1][3]]
    assert f"a month costs {runs[-1][3]}" in " ".join(PRODUCTION.split())


def test_production_is_set_up_as_its_page_says(production: Desk) -> None:
    done = production.walk(PRODUCTION, RENT)

    assert "uv run materia schedule install" in done
    assert "uv run materia schedule remove" in done


@pytest.mark.campaign
def test_the_quickstart_is_walked(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, with_transform=True)

    done = walk(QUICK, workshop.run, workshop.directory)

    assert done[-1].startswith("rm ")
    assert sorted(path.name for path in workshop.directory.iterdir()) == []


@pytest.mark.campaign
def test_the_first_rented_run_is_walked_and_undone(desk: Desk) -> None:
    done = desk.walk(FIRST)

    assert "uv run materia run --sample --yes" in done
    assert desk.rented.billed() == Decimal(sums(FIRST, "What it costs")[-1][1].split()[0])
    assert desk.rented.left() == []
    assert list(desk.workshop.directory.iterdir()) == []


@pytest.mark.campaign
def test_production_is_walked_and_undone(production: Desk) -> None:
    done = production.walk(PRODUCTION)

    assert "uv run materia run --sample --yes" in done
    assert production.rented.left() == []
    assert list(production.workshop.directory.iterdir()) == []
