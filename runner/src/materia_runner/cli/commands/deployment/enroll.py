"""`materia schedule enroll`: set up a supervisor over SSH."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from materia_runner.cli.context import load_environment, load_pipeline, load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline

ENROLL_EPILOG = """\
\b
The supervisor gets, over SSH as root:
  - materia and its plugins, from the release of the channel: it needs Python alone
  - materia.toml, and the secrets that it needs: PULUMI_ACCESS_TOKEN alone where [secrets]
    esc is set
  - the timers of `materia schedule install --system`, which run as the user materia
Then it makes a new host key, and this computer keeps the public part. Before each run and
sweep it takes over what the channel names then. A second enrolment replaces everything; do it
after a change of materia.toml, and to rotate a secret.

\b
Examples:
  materia schedule enroll 203.0.113.9 --key ~/.ssh/id_ed25519 --host-key "ssh-ed25519 AAAA..."
  materia schedule enroll 203.0.113.9 --key ~/.ssh/id_ed25519     once its host key is known
"""
Host = Annotated[str, typer.Argument(metavar="HOST", help="Address of the supervisor.")]
Key = Annotated[Path, typer.Option("--key", metavar="FILE", help="Private SSH key of root there.")]
HostKey = Annotated[
    str | None,
    typer.Option(
        "--host-key",
        metavar="LINE",
        help="Host key that the supervisor was made with; another one gets nothing.",
    ),
]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of its SSH server.")]


def enroll(
    context: typer.Context,
    host: Host,
    *,
    key: Key = Path("~/.ssh/id_ed25519"),
    host_key: HostKey = None,
    port: Port = 22,
    json: Json = False,
    config: Config = None,
) -> None:
    """Set up a supervisor over SSH."""
    from materia.errors import ConfigError

    from materia_runner.artifact.channel.pinned import pin
    from materia_runner.artifact.find import artifacts_folder
    from materia_runner.artifact.target import SUPERVISOR
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.schedule import enroll as enrolling
    from materia_runner.ssh.command import SshTarget
    from materia_runner.ssh.library import require_asyncssh

    require_asyncssh()
    registry = load_registry(context)
    pipeline = load_pipeline(registry, config)
    if pipeline.file is None or not (pipeline.schedule.run or pipeline.schedule.sweep):
        raise ConfigError(
            "nothing is scheduled; set [schedule] run and sweep in materia.toml, which the "
            "supervisor gets"
        )
    environment = load_environment(registry, pipeline)
    pinned = pin(pipeline, registry, environment)
    if pinned is None:
        raise ConfigError(
            "a supervisor runs what was pushed to a channel; set [artifacts] channel in "
            "materia.toml, and run `materia artifact push --channel NAME`"
        )
    known = enrolling.KnownHosts(State(state_folder(os.environ)), host, port)
    expected = enrolling.checked_host_key(host_key) if host_key else known.read()
    if expected is None:
        raise ConfigError(
            f"the host key of {host} is unknown; give --host-key: for a supervisor of infra/, "
            "`pulumi stack output supervisorHostKey`"
        )
    say = partial(echo, err=True)
    now = enrolling.enroll(
        SshTarget(
            host=host,
            port=port,
            user="root",
            key=enrolling.login_key(key.expanduser()),
            host_key=expected,
        ),
        enrolling.Enrolment(
            name=pipeline.name,
            config=pipeline.file.read_text(encoding="utf-8"),
            secrets=supervisor_secrets(registry, pipeline, environment),
        ),
        known=known,
        artifact=lambda python, machine: pinned.artifact(
            SUPERVISOR[0],
            python=python,
            architecture=machine,
            cache=artifacts_folder(os.environ),
            say=say,
        ),
        say=say,
    )
    shown = {"host": host, "release": pinned.release.id, "host_key": now}
    text = f"{host} runs {pipeline.name} with the release {pinned.release.id}; host key: {now}"
    echo(to_json(shown) if json else text)


def supervisor_secrets(
    registry: Registry, pipeline: Pipeline, environment: Mapping[str, str]
) -> dict[str, str]:
    """What the supervisor needs: what opens Pulumi ESC, or else each secret in use.

    Raises:
        MissingSecretError: one is not set.
    """
    from materia.errors import MissingSecretError

    from materia_runner.cli.redact_output import know
    from materia_runner.config.secret_needs import needs_of, unmet
    from materia_runner.secrets.resolve import ADDRESS, TOKEN, resolve

    if pipeline.esc is not None:
        dotenv = pipeline.directory / ".env"
        given = resolve(environment, names=(TOKEN, ADDRESS), dotenv=dotenv, esc=None).values
        if not given.get(TOKEN):
            raise MissingSecretError(f"Pulumi ESC ({pipeline.esc})", (TOKEN,))
        know([given[TOKEN]])
        return {name: given[name] for name in (TOKEN, ADDRESS) if given.get(name)}
    needs = needs_of(registry, pipeline)
    found = {name for name, value in environment.items() if value}
    for need in unmet(needs, found, auto=not pipeline.providers):
        missing = tuple(name for name in need.names if name not in found)
        raise MissingSecretError(f"the {need.kind} {need.name}", missing)
    names = {name for need in needs if need.in_use for name in need.names}
    return {name: environment[name] for name in names if environment.get(name)}
