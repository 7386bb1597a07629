"""`materia emulator`: the four providers' APIs on this machine, for free, until Ctrl-C."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from materia.errors import ConfigError, PluginError

from materia_runner.cli.context import load_registry
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app
from materia_runner.signals import Interrupted, interrupts

if TYPE_CHECKING:
    from materia_testing.emulation.service import Service
    from materia_testing.emulation.ssh_machines.machine import SshMachines

EPILOG = """\
\b
In another terminal, run the line that it prints first (`. FILE`). From then on, there,
  materia providers price            compares the emulated providers
  materia providers list --check     says whether each accepts its credentials
  materia run --provider auto        rents from them

\b
Your materia.toml stays in force but for its tables [providers.NAME], and results go
where it says. The ledger is one of its own (MATERIA_STATE_DIR), so that no machine
and no cost of the emulator is ever among the real ones; it goes with the emulator.
At its end it says what each provider charged, and what was left there.
Needs the packages of `materia-runner[emulator]`.
"""
NAMES = ("hetzner", "oracle", "ovh", "scaleway")

Provider = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        help=f"Start only this one; may come several times. One of {', '.join(NAMES)}.",
    ),
]
Speed = Annotated[
    float,
    typer.Option("--speed", min=0.001, metavar="N", help="How many emulated seconds pass in one."),
]
WithMachines = Annotated[
    bool,
    typer.Option(
        "--machines/--no-machines",
        help="Boot a real SSH server for every instance, or let nothing answer at its address.",
    ),
]


def emulator(
    context: typer.Context,
    *,
    provider: Provider = None,
    speed: Speed = 1.0,
    machines: WithMachines = True,
) -> None:
    """Emulate the clouds of all providers on this machine.

    Prints what points materia at them. Instances are billed by each provider's rules and cost
    nothing.
    """
    import tempfile

    chosen = tuple(dict.fromkeys(provider or NAMES))
    for name in chosen:
        if name not in NAMES:
            raise PluginError(f"no emulator for {name!r}; there are {', '.join(NAMES)}")
    installed = {found.plugin.name for found in load_registry(context).of_kind("provider")}
    with ExitStack() as stack:
        behind = stack.enter_context(_machines()) if machines else None
        services = [stack.enter_context(one) for one in _services(chosen, speed, behind)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="materia-emulator-")))
        config = folder / "providers.toml"
        port = {"ssh_port": behind.port} if behind and behind.port != 22 else {}
        tables = {
            service.provider: {**service.settings(), **port}
            for service in services
            if service.provider in installed
        }
        config.write_text(toml(tables), encoding="utf-8")
        for name in sorted(set(chosen) - installed):
            echo(f"materia: the plugin for {name} is not installed", err=True)
        if behind and behind.why_stand_in:
            echo(f"materia: a stand-in for OpenSSH answers: {behind.why_stand_in}", err=True)
        lines = exports(services, config, state=folder / "state")
        script = folder / "environment.sh"
        script.touch(mode=0o600)
        script.write_text(f"{lines}\n", encoding="utf-8")
        echo(f"# . {shlex.quote(str(script))}\n{lines}")
        try:
            with interrupts():
                threading.Event().wait()
        except Interrupted:
            echo(bill(services), err=True)


def exports(services: Sequence[Service], config: Path, *, state: Path) -> str:
    """Lines for a shell: the credentials of *services*, their settings, and their own ledger."""
    from materia_runner.config.load import PROVIDER_SETTINGS
    from materia_runner.ledger.state import VARIABLE as STATE

    variables = {PROVIDER_SETTINGS: str(config), STATE: str(state)}
    for service in services:
        variables |= service.secrets()
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    addresses = [f"# {service.provider} at {service.url}" for service in services]
    return "\n".join([*addresses, *lines])


def toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    """The settings of each provider, as tables of materia.toml."""
    lines = ["# Written by `materia emulator`; gone when it ends.", ""]
    for name, settings in tables.items():
        lines.append(f"[providers.{name}]")
        # Text, numbers and lists of text are written in JSON as they are in TOML.
        lines += [
            f"{key} = {json.dumps(list(value) if isinstance(value, tuple) else value)}"
            for key, value in settings.items()
        ]
        lines.append("")
    return "\n".join(lines)


def bill(services: Sequence[Service]) -> str:
    """One line for each service: what it charged, and what was left there."""
    lines = []
    for service in services:
        charged = [f"{amount:.4f} {currency}" for currency, amount in service.billed().items()]
        left = [f"{line.kind} {line.id}" for line in service.still_billed()]
        lines.append(
            f"{service.provider}: {' and '.join(charged) or 'nothing'} charged, "
            f"{', '.join(left) or 'nothing'} left"
        )
    return "\n".join(lines)


def _services(names: Sequence[str], speed: float, machines: SshMachines | None) -> list[Service]:
    from materia_testing.emulation import Clock
    from materia_testing.emulation.services import service_class

    try:
        return [service_class(name)(clock=Clock(speed=speed), machines=machines) for name in names]
    except ImportError as error:
        raise _missing(error) from error


def _machines() -> SshMachines:
    try:
        from materia_testing.emulation.ssh_machines.machine import SshMachines

        return SshMachines()
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(
        f"the emulator needs {error.name}: install materia-runner[emulator]"
        " (--no-machines and --provider need less)"
    )


app = command_app("emulator", emulator, epilog=EPILOG)
