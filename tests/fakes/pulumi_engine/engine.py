"""The real Pulumi engine on the program of infra/, with providers of our own behind it.

It works on a copy of the folder, and has its state in an emulated Pulumi Cloud. The only secret in
its environment is PULUMI_ACCESS_TOKEN: the providers' tokens come from the environment of ESC that
the settings of the stack name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it has no types
from fakes.infra_settings import ACCOUNT, KEY, SUPERVISOR
from fakes.pulumi_engine.cloud import PulumiCloud

PULUMI = shutil.which("pulumi")
TESTS = Path(__file__).parents[2]
INFRA = TESTS.parent / "infra"
PLUGINS = {
    "resource-hcloud-v1.43.3": "hetzner",
    "resource-cloudflare-v6.23.1": "cloudflare",
    "resource-pulumiservice-v1.5.0": "pulumiservice",
}
LIMIT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class Engine:
    """A stack of its own, `acme/prod`.

    Attributes:
        folder: Where the copy of infra/, the plugins and Cloudflare's account are.
        environment: What the commands see.
    """

    folder: Path
    environment: Mapping[str, str]

    def run(self, *words: str, text: str = "") -> Ended:
        """Run `pulumi` on the copy of infra/, as a person does."""
        done = subprocess.run(
            [str(PULUMI), "--cwd", str(self.folder / "infra"), "--non-interactive", *words],
            env=dict(self.environment),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout)

    def must(self, *words: str, text: str = "") -> str:
        """As `run`, for what must succeed."""
        ended = self.run(*words, text=text)
        assert ended.code == 0, ended.said
        return ended.said

    def up(self, *words: str) -> Ended:
        """`pulumi up` without a preview, which takes as long again."""
        return self.run("up", "--yes", "--skip-preview", "--stack", "prod", *words)

    def differs(self) -> Ended:
        """`make infra-preview`, which fails when what is there differs from the program."""
        words = ("preview", "--diff", "--refresh", "--expect-no-changes", "--stack", "prod")
        return self.run(*words)

    def set(self, **settings: str) -> None:
        """Set what `Pulumi.prod.yaml` has."""
        for name, value in settings.items():
            self.must("config", "set", name, value)

    def made(self) -> dict[str, Any]:
        """The resources in the state, by `Kind name`; without the providers and the stack."""
        exported = json.loads(self.must("stack", "export"))["deployment"].get("resources", [])
        return {
            f"{one['type'].rpartition(':')[2]} {one['urn'].rpartition(':')[2]}": one
            for one in exported
            if not one["type"].startswith("pulumi:")
        }

    def outputs(self) -> dict[str, Any]:
        """What the stack exports, with the secrets hidden."""
        shown: dict[str, Any] = json.loads(self.must("stack", "output", "--json"))
        return shown


def new_engine(folder: Path, cloud: PulumiCloud, *, endpoint: str) -> Engine:
    """A program before its first run: the copy, and the settings of `Pulumi.prod.yaml`.

    Args:
        folder: An empty one.
        cloud: Pulumi Cloud.
        endpoint: Address of Hetzner's API.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(INFRA, folder / "infra", ignore=ignored)
    for name, module in PLUGINS.items():
        _script(folder / "home/plugins" / name / f"pulumi-{name.rpartition('-')[0]}", module)
    (folder / ".venv").symlink_to(sys.prefix)  # beside infra/, as in a clone
    project = yaml.safe_load((INFRA / "Pulumi.yaml").read_text())
    python = f"{project['runtime']['options']['virtualenv']}/bin/python"
    _script(folder / "path/pulumi-language-python", "language", python=python)
    environment = {
        "PATH": f"{folder / 'path'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        **cloud.secrets(),
        "HCLOUD_ENDPOINT": endpoint,
        "STAND_IN_ACCOUNT": str(folder / "account.json"),
    }
    return Engine(folder, environment)


def fill(engine: Engine, **settings: str) -> None:
    """Make the stack, and give it what `infra/README.md` says, beside *settings*."""
    engine.must("stack", "init", "acme/prod")
    engine.must("config", "set", "--secret", "hostKey", text=KEY.private)
    engine.set(cloudflareAccount=ACCOUNT, loginKey=SUPERVISOR.login_key, **settings)
    engine.must("config", "set", "--path", "sshFrom[0]", SUPERVISOR.ssh_from[0])


def _script(path: Path, module: str, python: str = sys.executable) -> None:
    """A program that the engine finds, for a stand-in of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = f"{python} -W ignore -m {__package__}.{module}"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={TESTS} exec {command} "$@"\n')
    path.chmod(0o755)
