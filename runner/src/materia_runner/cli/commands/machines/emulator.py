"""`materia emulator`: emulate the cloud APIs of providers on this machine, until Ctrl-C."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from materia.errors import ConfigError, MateriaError, PluginError

from materia_runner.bundled import bundled
from materia_runner.cli.context import bundled_only, load_registry
from materia_runner.cli.echo import Whole, echo
from materia_runner.cli.fast_typer import Command, command_app
from materia_runner.install_hints import install_command
from materia_runner.signals import Interrupted, interrupts

if TYPE_CHECKING:
    from materia._entry_points import EntryPoint
    from materia_testing.emulation.service import Service
    from materia_testing.emulation.ssh_machines.machine import SshMachines

EPILOG = """\
\b
In another terminal, run the first line of its output without its # (`. FILE`). There,
  materia providers price            compares the emulated providers
  materia providers list --check     checks the credentials of each
  materia run --provider auto        rents from them

\b
Your materia.toml still applies, except for its tables [providers.NAME]; results go to
its sink. The emulator has a ledger of its own (MATERIA_STATE_DIR), so its machines and
costs never mix with real ones; that ledger is deleted when the emulator ends. On exit,
the emulator prints what each provider charged, and what was left there.
Requires the extra `emulator`, and that of each provider.

\b
Installed emulators: {names}.
"""
GROUP = "materia.emulators"


def find_emulators() -> dict[str, EntryPoint]:
    """Entry points of the installed emulators, by provider; nothing is imported."""
    from materia._entry_points import find_entry_points

    points = sorted(find_entry_points(GROUP), key=lambda point: (point.name, point.value))
    return {point.name: point for point in points}


def complete_emulator(incomplete: str) -> list[str]:
    """Names of the installed emulators."""
    return [name for name in find_emulators() if name.startswith(incomplete)]


class EmulatorCommand(Command):
    """A command whose help lists the installed emulators, looked up when the help is shown."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the epilog with the names of the installed emulators."""
        self.epilog = EPILOG.format(names=", ".join(find_emulators()) or "none")
        super().format_epilog(ctx, formatter)


Provider = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        autocompletion=complete_emulator,
        help="Start only this emulator; may be repeated.",
    ),
]
Speed = Annotated[
    float,
    typer.Option("--speed", min=0.001, metavar="N", help="Emulated seconds per real second."),
]
WithMachines = Annotated[
    bool,
    typer.Option(
        "--machines/--no-machines",
        help="Start a real SSH server for every instance, or none.",
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

    Prints the environment variables that point materia at them. Instances are billed by each
    provider's rules and cost nothing.
    """
    import tempfile

    found = _emulators(context, provider)
    installed = {found.plugin.name for found in load_registry(context).of_kind("provider")}
    with ExitStack() as stack:
        behind = stack.enter_context(_machines()) if machines else None
        services = [stack.enter_context(one) for one in _services(found, speed, behind)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="materia-emulator-")))
        config = folder / "providers.toml"
        port = {"ssh_port": behind.port} if behind and behind.port != 22 else {}
        tables = {
            service.provider: {**service.settings(), **port}
            for service in services
            if service.provider in installed
        }
        config.write_text(toml(tables), encoding="utf-8")
        for name in sorted(set(found) - installed):
            echo(f"materia: the plugin for {name} is not installed", err=True)
        if behind and behind.why_stand_in:
            echo(f"materia: a stand-in for OpenSSH answers: {behind.why_stand_in}", err=True)
        lines = exports(services, config, state=folder / "state")
        script = folder / "environment.sh"
        script.touch(mode=0o600)
        script.write_text(f"{lines}\n", encoding="utf-8")
        try:
            with interrupts():
                echo(Whole(f"# . {shlex.quote(str(script))}\n{lines}"))
                threading.Event().wait()
        except Interrupted:
            echo(bill(services), err=True)


def exports(services: Sequence[Service], config: Path, *, state: Path) -> str:
    """Shell `export` lines: credentials and settings of *services*, and a ledger of their own."""
    from materia_runner.config.load import PROVIDER_SETTINGS
    from materia_runner.folders import STATE_VARIABLE as STATE

    variables = {PROVIDER_SETTINGS: str(config), STATE: str(state)}
    for service in services:
        variables |= service.secrets()
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    addresses = [f"# {service.provider} at {service.url}" for service in services]
    return "\n".join([*addresses, *lines])


def toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Settings of each provider, as tables of materia.toml."""
    lines = ["# Written by `materia emulator`; deleted when it ends.", ""]
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
    from materia.compute import Money

    from materia_runner.figures import money_text

    lines = []
    for service in services:
        billed = service.billed().items()
        charged = [money_text(Money(amount, currency)) for currency, amount in billed]
        left = [f"{line.kind} {line.id}" for line in service.still_billed()]
        lines.append(
            f"{service.provider}: {' and '.join(charged) or 'nothing'} charged, "
            f"{', '.join(left) or 'nothing'} left"
        )
    return "\n".join(lines)


def _emulators(context: typer.Context, names: Sequence[str] | None) -> dict[str, type[Service]]:
    """Load the emulators *names*, or all; without names, warn of those that cannot be loaded.

    Raises:
        PluginError: no emulator has one of the names, or it cannot be loaded.
        ConfigError: no emulator is installed, or it needs a package that is not installed.
    """
    found = find_emulators()
    if bundled_only(context):
        ours = bundled()
        found = {name: one for name, one in found.items() if one.distribution in ours}
    for name in names or ():
        if name not in found:
            there = f"installed: {', '.join(found)}" if found else "no installed plugin has one"
            raise PluginError(f"no emulator for {name!r}; {there}")
    chosen = tuple(dict.fromkeys(names or found))
    loaded, failed = {}, []
    for name in chosen:
        try:
            loaded[name] = _load(found[name])
        except MateriaError as error:
            if names:
                raise
            failed.append(error)
    if not loaded:
        if failed:
            raise failed[0]
        from materia_runner.planning.available_offers import how_to_add_one

        how = how_to_add_one(load_registry(context))
        raise ConfigError(f"no installed provider has an emulator{how}")
    for problem in failed:
        echo(f"warning: {problem}", err=True)
    return loaded


def _load(point: EntryPoint) -> type[Service]:
    try:
        from materia_testing.emulation.services import load_service

        return load_service(point)
    except MateriaError:
        raise
    except ImportError as error:
        raise _missing(error) from error
    except Exception as error:  # a fault of one plugin is that plugin's alone
        raise PluginError(
            f"cannot load the emulator {point.name!r} of {point.distribution}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _services(
    found: Mapping[str, type[Service]], speed: float, machines: SshMachines | None
) -> list[Service]:
    from materia_testing.emulation import Clock

    return [kind(clock=Clock(speed=speed), machines=machines) for kind in found.values()]


def _machines() -> SshMachines:
    try:
        from materia_testing.emulation.ssh_machines.machine import SshMachines

        return SshMachines()
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(
        f"the emulator needs the package {error.name}; to install it: "
        f"{install_command('materia-runner[emulator]')}"
        " (--no-machines and --provider need fewer packages)"
    )


app = command_app("emulator", emulator, cls=EmulatorCommand)
