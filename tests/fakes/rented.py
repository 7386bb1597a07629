"""A workshop whose pipeline runs on rented machines: emulated clouds, real SDKs, real OpenSSH."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from fakes.workshop import Workshop
from materia_runner.cli.commands.machines.emulator import toml
from materia_testing.emulation.service import Behaviour, Service
from materia_testing.emulation.services import service_class
from materia_testing.emulation.ssh_machines.machine import Kind, SshMachines

# So quick that tests are; the clock runs as ours does, so bills can be compared.
BOOT = timedelta(seconds=0.3)
DELETE = timedelta(seconds=0.2)
# Machines that stand behind the instances are of this machine's kind, whatever was rented. Oracle
# is asked in EUR and answers so; the rate is for whoever does not.
PIPELINE = f"""
[stages.extract]
architectures = ["{"arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"}"]

[stages.transform]
architectures = ["{"arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"}"]

[currency.rates.USD]
worth = "0.8654"
date = 2026-11-20
"""
# What the user's own environment says of the network.
PASSED_ON = ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "HTTPS_PROXY")


class Rented:
    """Emulated clouds, and a workshop whose materia.toml points at them.

    Attributes:
        workshop: Where the command line runs.
        clouds: The services, by name.
        machines: What stands behind their instances.
    """

    def __init__(
        self,
        workshop: Workshop,
        providers: Sequence[str],
        *,
        cache: Path,
        kind: Kind | None = None,
        pipeline: str = "",
    ) -> None:
        self.workshop = workshop
        self._cache = cache
        self._stack = ExitStack()
        self.machines = self._stack.enter_context(SshMachines(kind=kind))
        self.clouds: dict[str, Service] = {
            name: self._stack.enter_context(
                service_class(name)(
                    behaviour=Behaviour(boot=BOOT, delete=DELETE), machines=self.machines
                )
            )
            for name in providers
        }
        self.write(pipeline)

    def write(self, pipeline: str) -> None:
        """Write materia.toml: *pipeline*, then where the clouds are."""
        port = {} if self.machines.port == 22 else {"ssh_port": self.machines.port}
        tables = {name: {**cloud.settings(), **port} for name, cloud in self.clouds.items()}
        self.workshop.write("materia.toml", f"{pipeline}\n{PIPELINE}\n{toml(tables)}")

    def environment(self) -> dict[str, str]:
        """With credentials, and with what was built once for all tests."""
        secrets = [cloud.secrets() for cloud in self.clouds.values()]
        kept = {**with_packages(), "XDG_CACHE_HOME": str(self._cache)}
        return {name: value for one in (kept, *secrets) for name, value in one.items()}

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, with *more* variables."""
        return self.workshop.run(*arguments, environment={**self.environment(), **more})

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start and go on, with *more* variables."""
        return subprocess.Popen(
            self.workshop.command(*arguments),
            cwd=self.workshop.directory,
            env=self.workshop.environment(**self.environment(), **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def left(self) -> list[str]:
        """Everything that still costs money, in all clouds."""
        return [
            f"{name}: {one.kind} {one.name or one.id}"
            for name, cloud in self.clouds.items()
            for one in cloud.still_billed()
        ]

    def billed(self) -> Decimal:
        """What all clouds charged, in EUR."""
        bills = [cloud.billed() for cloud in self.clouds.values()]
        assert {currency for bill in bills for currency in bill} <= {"EUR"}
        return sum((bill.get("EUR", Decimal(0)) for bill in bills), Decimal(0))

    def ledger(self, run: str) -> dict[str, Any]:
        """What the ledger says of a run."""
        shown = self.run("runs", "show", run, "--json")
        assert shown.returncode == 0, shown.stderr
        values: dict[str, Any] = json.loads(shown.stdout)
        return values

    def runs(self) -> list[dict[str, Any]]:
        """All runs of the ledger."""
        values: list[dict[str, Any]] = json.loads(self.run("runs", "--json").stdout)
        return values

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def events(stderr: str) -> list[Mapping[str, Any]]:
    """The events that `--json` wrote."""
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


def with_packages() -> dict[str, str]:
    """What uv needs of this environment to find packages: a test's own has nothing."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed_on, "UV_CACHE_DIR": uv_cache()}


def uv_cache() -> str:
    """Where uv keeps what it downloaded: the home folder of a test is empty."""
    if given := os.environ.get("UV_CACHE_DIR"):
        return given
    command = ["uv", "cache", "dir"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    return asked.stdout.strip()
