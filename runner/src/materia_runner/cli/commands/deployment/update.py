"""`materia schedule update`: let a supervisor use the release that its channel names."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import typer

from materia_runner.cli.context import load_environment, load_pipeline, load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.schedule.update import UnusableReleaseError

UPDATE_EPILOG = """\
\b
A supervisor does this by itself before each run and each sweep, as root, with the service
materia-NAME-update. It fetches the command line of the release, checks its hash, tries it,
and installs its units. When anything fails, the release before stays in use, and [notify]
runs = true has the webhook of the runs called, once for each release.

\b
On the supervisor, as root:
  systemctl start materia-NAME-update
  journalctl -u materia-NAME-update
"""


def update(context: typer.Context, *, json: Json = False, config: Config = None) -> None:
    """Use the release that the channel names, on a supervisor."""
    from dataclasses import asdict

    from materia.errors import ConfigError

    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.schedule.enroll import USER
    from materia_runner.schedule.update import UnusableReleaseError, keep_notified, release_in_use
    from materia_runner.schedule.update import update as update_release

    registry = load_registry(context)
    pipeline = load_pipeline(registry, config)
    current = release_in_use(os.environ)
    if current is None or pipeline.artifacts is None or pipeline.artifacts.channel is None:
        raise ConfigError(
            "this is no supervisor that follows a channel; `materia schedule enroll HOST` makes one"
        )
    environment = load_environment(registry, pipeline, using=(), bucket=True)
    try:
        done = update_release(
            ArtifactBucket(pipeline.artifacts, environment),
            pipeline=pipeline.name,
            channel=pipeline.artifacts.channel,
            user=USER,
            current=current,
            say=partial(echo, err=True),
        )
    except UnusableReleaseError as error:
        _notify(registry, pipeline, error)
        raise
    keep_notified(pipeline.name, None)
    if json:
        echo(to_json(asdict(done)))
        return
    now = "is in use from now on" if done.changed else "is in use already"
    echo(f"the release {done.release} of {pipeline.name} {now}")


def _notify(registry: Registry, pipeline: Pipeline, error: UnusableReleaseError) -> None:
    """Notify of a release that cannot be used, once: a sweep asks again each quarter of an hour."""
    from materia_runner.cli.notified import report_update, webhook_environment
    from materia_runner.schedule.update import is_notified, keep_notified

    if is_notified(pipeline.name, error.release):
        return
    environment = webhook_environment("run", registry, pipeline)
    if report_update(pipeline, environment, error):
        keep_notified(pipeline.name, error.release)
