"""The real Pulumi engine on the program of infra/, with providers of our own behind it.

It works on a copy of the folder. Its state is a folder, too, as Pulumi Cloud is not here: so the
copy names no environment of ESC, and the provider's token is a secret in the stack's settings.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.infra_settings import ACCOUNT, KEY, SUPERVISOR

PULUMI = shutil.which("pulumi")
TESTS = Path(__file__).parents[2]
INFRA = TESTS.parent / "infra"
PLUGINS = {
    "resource-hcloud-v1.43.3": ["hetzner"],
    "resource-cloudflare-v6.23.1": ["accounts", "cloudflare"],
    "resource-pulumiservice-v1.5.0": ["accounts", "pulumiservice"],
}
PASSPHRASE = "planted passphrase"  # noqa: S105 -- made up here
LIMIT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class Engine:
    """A stack with a state and accounts of its own.

    Attributes:
        folder: Where all of it is.
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

    def state(self) -> str:
        """The state as it is stored."""
        return next(self.folder.glob("state/.pulumi/stacks/*/prod.json")).read_text()

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


def new_engine(folder: Path, *, token: str, endpoint: str, settings: Mapping[str, str]) -> Engine:
    """A stack `prod` that nothing was made of, for a project at Hetzner."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(INFRA, folder / "infra", ignore=ignored)
    stack = folder / "infra/Pulumi.prod.yaml"
    begin = "environment:\n  - beanflows/accounts\n"
    assert begin in stack.read_text()
    stack.write_text(stack.read_text().replace(begin, ""))
    for part in ("state", "accounts", "path"):
        (folder / part).mkdir()
    for name, words in PLUGINS.items():
        _script(folder / "home/plugins" / name / f"pulumi-{name.rpartition('-')[0]}", words)
    _script(folder / "path/pulumi-language-python", ["language"])
    environment = {
        "PATH": f"{folder / 'path'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "HCLOUD_ENDPOINT": endpoint,
        "STAND_IN_ACCOUNTS": str(folder / "accounts"),
    }
    engine = Engine(folder, environment)
    engine.must("stack", "init", "prod")
    secrets = {"hcloud:token": token, "hostKey": KEY.private}
    for name, value in secrets.items():
        engine.must("config", "set", "--secret", name, text=value)
    usual = {"cloudflareAccount": ACCOUNT, "loginKey": SUPERVISOR.login_key, **settings}
    engine.set(**usual)
    engine.must("config", "set", "--path", "sshFrom[0]", SUPERVISOR.ssh_from[0])
    return engine


def _script(path: Path, words: Sequence[str]) -> None:
    """A program that the engine finds, for a stand-in of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name, *more = words
    command = [sys.executable, "-W", "ignore", "-m", f"{__package__}.{name}", *more]
    path.write_text(f'#!/bin/sh\nPYTHONPATH={TESTS} exec {" ".join(command)} "$@"\n')
    path.chmod(0o755)
