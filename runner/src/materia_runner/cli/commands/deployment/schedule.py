"""`materia schedule`: install timers for runs and sweeps, and check that runs succeed."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from materia_runner.cli.commands.deployment.enroll import ENROLL_EPILOG, enroll
from materia_runner.cli.commands.deployment.update import UPDATE_EPILOG, update
from materia_runner.cli.context import (
    load_environment,
    load_pipeline,
    load_registry,
    to_json,
    warn_of_failures,
)
from materia_runner.cli.echo import Whole, echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.schedule.status import RunStatus
    from materia_runner.schedule.systemd import TimerState
    from materia_runner.schedule.units import Installation

app = group_app("schedule", help="Start runs and sweeps by themselves: systemd, cron or GitLab.")

SHOW_EPILOG = """\
\b
The schedule is set in materia.toml:
  [schedule]
  run = "*-*-* 17:30 UTC"    a calendar expression of systemd
  sweep = 15                 minutes from the end of a sweep to the next one

\b
Examples:
  materia schedule show             the units that install writes for this user
  materia schedule show --system    those of the whole machine
  materia schedule show --cron      lines for crontab
  materia schedule show --gitlab    jobs of GitLab CI: production without a machine of your own
"""
INSTALL_EPILOG = """\
\b
A run that was missed while the machine was off is made up. systemd never starts a run
beside a run. A stopped run gets 30 minutes to destroy its machines. Secrets are read from
.env beside materia.toml, from Pulumi ESC, or from the file that the units name, which may be
missing. Installing again replaces the units. Sweeps on the machine that also starts the
runs help after a crash; while it sleeps, only a sweep on another computer does.

\b
Examples:
  materia schedule install                                   units of this user
  sudo .venv/bin/materia schedule install --system           units of the whole machine
  sudo .venv/bin/materia schedule install --system --user materia
"""
CHECK_EPILOG = """\
\b
It reads the status that each run writes into the bucket of artifacts, so it works on any
computer with the bucket's credentials: run it somewhere else than the runs, because a
machine that is off checks nothing. Without a bucket it reads the ledger of this machine.
The exit code is 1 when the last good run is too old, none is known, or its time is in the
future.

\b
Examples:
  materia schedule check
  materia schedule check --newer-than 800     for a monthly pipeline
"""

System = Annotated[
    bool, typer.Option("--system", help="Units of the whole machine, instead of this user.")
]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="NAME",
        help="User that units of the whole machine run as (default: owner of the folder).",
    ),
]
Cron = Annotated[bool, typer.Option("--cron", help="Print lines for crontab.")]
Gitlab = Annotated[bool, typer.Option("--gitlab", help="Print jobs for .gitlab-ci.yml.")]
NewerThan = Annotated[
    int,
    typer.Option("--newer-than", min=1, metavar="HOURS", help="How old the last good run may be."),
]


@app.callback()
def group() -> None:
    """Start runs and sweeps by themselves: systemd, cron or GitLab."""


@app.command("show", cls=Command, epilog=SHOW_EPILOG)
def show(
    context: typer.Context,
    *,
    system: System = False,
    user: User = None,
    cron: Cron = False,
    gitlab: Gitlab = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Print the units of the schedule, and change nothing."""
    from materia_runner.schedule.cron import crontab
    from materia_runner.schedule.cron import gitlab as gitlab_jobs
    from materia_runner.schedule.systemd import check_calendar
    from materia_runner.schedule.units import units

    registry, pipeline = _loaded(context, config)
    place = _installation(pipeline, system=system, user=user)
    folder = "/etc/systemd/system" if system else "~/.config/systemd/user"
    if gitlab:
        packages = _packages(registry, pipeline)
        made = {".gitlab-ci.yml": gitlab_jobs(pipeline.schedule, packages=packages, config=config)}
    elif cron:
        made = {"crontab": crontab(pipeline.schedule, place)}
    else:
        found = units(pipeline.schedule, place)
        if pipeline.schedule.run is not None:
            check_calendar(pipeline.schedule.run)
        made = {f"{folder}/{name}": text for name, text in found.items()}
    if json:
        echo(to_json(made))
        return
    for name, text in made.items():
        echo(Whole(text if gitlab or cron else f"# {name}\n{text}"))


@app.command("install", cls=Command, epilog=INSTALL_EPILOG)
def install(
    context: typer.Context,
    *,
    system: System = False,
    user: User = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Install the timers with systemd, and start them."""
    from materia_runner.schedule.systemd import Systemd, check_calendar
    from materia_runner.schedule.units import units

    _, pipeline = _loaded(context, config)
    place = _installation(pipeline, system=system, user=user)
    made = units(pipeline.schedule, place)
    if pipeline.schedule.run is not None:
        check_calendar(pipeline.schedule.run)
    systemd = Systemd(user=not system)
    systemd.install(pipeline.name, made)
    files = [str(systemd.folder / name) for name in made]
    echo(to_json(files) if json else "\n".join(files))
    secrets = place.secrets.replace("%h", str(Path.home()))
    echo(f"secrets: .env beside materia.toml, Pulumi ESC, or {secrets} (chmod 600)", err=True)
    if not system and not _lingers():
        echo(
            "these timers run only while you are logged in; to change that: "
            "`loginctl enable-linger`",
            err=True,
        )


@app.command("status", cls=Command)
def status(
    context: typer.Context, *, system: System = False, json: Json = False, config: Config = None
) -> None:
    """Show when the timers start next, and how the last run ended."""
    from dataclasses import asdict

    from materia_runner.figures import moment_text
    from materia_runner.schedule.systemd import Systemd

    registry, pipeline = _loaded(context, config)
    systemd = Systemd(user=not system)
    names = [f"materia-{pipeline.name}-{what}.timer" for what in ("run", "sweep")]
    timers = [systemd.state(name) for name in names]
    update = systemd.ended(f"materia-{pipeline.name}-update.service")
    last = _status(registry, pipeline)
    if json:
        echo(
            to_json(
                {
                    "timers": [asdict(timer) for timer in timers],
                    "update": asdict(update) if update.installed else None,
                    "last_run": None if last is None else asdict(last),
                }
            )
        )
        return
    echo(_timers(timers))
    if last is not None:
        ended = moment_text(last.ended_at)
        echo(f"last run: ended {ended} UTC, exit code {last.exit_code}")
    if update.installed and update.result not in {"", "success"}:
        echo(
            f"the release of the channel could not be used, the one before is in use: "
            f"`journalctl -u {update.service.removesuffix('.service')}`"
        )


@app.command("check", cls=Command, epilog=CHECK_EPILOG)
def check(
    context: typer.Context,
    *,
    newer_than: NewerThan = 36,
    json: Json = False,
    config: Config = None,
) -> None:
    """Fail when the last good run is too old."""
    from dataclasses import asdict

    from materia_runner.figures import moment_text
    from materia_runner.schedule.status import problem_of

    registry, pipeline = _loaded(context, config)
    last = _status(registry, pipeline)
    problem = problem_of(
        last,
        pipeline=pipeline.name,
        oldest=timedelta(hours=newer_than),
        now=datetime.now(UTC),
    )
    if json:
        found = None if last is None else asdict(last)
        echo(to_json({"problem": problem, "last_run": found}))
    elif problem is None and last is not None and last.good_at is not None:
        echo(f"the last good run of {pipeline.name} ended {moment_text(last.good_at)} UTC")
    if problem is not None:
        echo(f"materia: {problem}", err=True)
        raise typer.Exit(1)


@app.command("remove", cls=Command)
def remove(
    context: typer.Context, *, system: System = False, json: Json = False, config: Config = None
) -> None:
    """Stop the timers, and delete their units; a run under way goes on."""
    from materia_runner.schedule.systemd import Systemd

    _, pipeline = _loaded(context, config)
    systemd = Systemd(user=not system)
    gone = systemd.remove(pipeline.name)
    if json:
        echo(to_json([str(systemd.folder / name) for name in gone]))
        return
    for name in gone:
        echo(f"deleted {systemd.folder / name}")
    if not gone:
        echo(f"no schedule of {pipeline.name} is installed in {systemd.folder}")


app.command("enroll", cls=Command, epilog=ENROLL_EPILOG)(enroll)
app.command("update", cls=Command, epilog=UPDATE_EPILOG)(update)


def _loaded(context: typer.Context, config: Path | None) -> tuple[Registry, Pipeline]:
    registry = load_registry(context)
    warn_of_failures(registry)
    return registry, load_pipeline(registry, config)


def _installation(pipeline: Pipeline, *, system: bool, user: str | None) -> Installation:
    import shutil
    import sys

    from materia.errors import ConfigError

    from materia_runner.folders import STATE_VARIABLE, state_folder
    from materia_runner.schedule.units import Installation

    if user is not None and not system:
        raise ConfigError("--user needs --system: units of a user run as that user")
    python = Path(sys.executable)
    uv = shutil.which("uv")
    folders = [str(python.parent), *([str(Path(uv).parent)] if uv else [])]
    folders += ["/usr/local/bin", "/usr/bin", "/bin"]
    variables = []
    if not system and os.environ.get(STATE_VARIABLE):
        variables.append((STATE_VARIABLE, str(state_folder(os.environ))))
    if given := os.environ.get("PYTHONPATH"):  # the command line of a release, unpacked
        variables.append(("PYTHONPATH", given))
    directory = pipeline.directory.absolute()
    return Installation(
        name=pipeline.name,
        directory=directory,
        config=pipeline.file and pipeline.file.absolute(),
        python=python,
        path=os.pathsep.join(dict.fromkeys(folders)),
        state=state_folder(os.environ),
        user=_system_user(user, directory) if system else None,
        variables=tuple(variables),
        updated_by=_updated_by(pipeline) if system else None,
    )


def _updated_by(pipeline: Pipeline) -> Path | None:
    """The configuration by which a supervisor follows its channel."""
    from materia_runner.schedule.enroll_script import update_config
    from materia_runner.schedule.update import release_in_use

    follows = pipeline.artifacts is not None and pipeline.artifacts.channel is not None
    return update_config(pipeline.name) if follows and release_in_use(os.environ) else None


def _system_user(name: str | None, directory: Path) -> str:
    """The user called *name*, or the owner of *directory*.

    Raises:
        ConfigError: there is no such user here; systemd would start nothing, and report nothing.
    """
    import pwd

    from materia.errors import ConfigError

    try:
        found = pwd.getpwuid(directory.stat().st_uid) if name is None else pwd.getpwnam(name)
    except KeyError:
        whose = f"the owner of {directory}" if name is None else f"--user {name!r}"
        raise ConfigError(f"{whose} is no user of this machine; give --user NAME") from None
    return found.pw_name


def _packages(registry: Registry, pipeline: Pipeline) -> list[str]:
    """What a computer installs that has the pipeline's secrets in Pulumi ESC, and rents."""
    from materia_runner.config.secret_needs import uses

    used = {
        one.distribution
        for kind in ("source", "sink", "provider")
        for one in registry.of_kind(kind)
        if uses(pipeline, one)
    }
    return ["materia-pipelines[esc,s3,ssh]", *sorted(used)]


def _lingers() -> bool:
    import getpass

    return Path("/var/lib/systemd/linger", getpass.getuser()).exists()


def _status(registry: Registry, pipeline: Pipeline) -> RunStatus | None:
    """The status in the bucket; without one, by the ledger of this machine."""
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.schedule.status import read_status, status_of_rows

    if pipeline.artifacts is None:
        with State(state_folder(os.environ)).ledger() as ledger:
            return status_of_rows(ledger.runs(), directory=str(pipeline.directory.absolute()))
    from materia_runner.artifact.bucket import ArtifactBucket

    environment = load_environment(registry, pipeline, using=(), bucket=True)
    return read_status(ArtifactBucket(pipeline.artifacts, environment), pipeline.name)


def _timers(timers: list[TimerState]) -> str:
    from materia_runner.cli.output.text import table

    rows = [
        [
            timer.timer,
            "yes" if timer.installed else "no",
            timer.next_at,
            timer.last_at,
            "yes" if timer.running else "",
            timer.result if timer.last_at else "",
            "" if timer.exit_code is None or not timer.last_at else str(timer.exit_code),
        ]
        for timer in timers
    ]
    head = ("timer", "installed", "next", "last", "running", "result", "exit code")
    return table(rows, head=head)
