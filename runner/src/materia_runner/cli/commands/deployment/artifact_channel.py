"""`materia artifact push --channel`, `release` and `prune`: what runs of a channel use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.context import (
    load_environment,
    load_pipeline,
    load_registry,
    open_sources,
    to_json,
    warn_of_failures,
)
from materia_runner.cli.echo import echo
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.artifact.channel.release import Release
    from materia_runner.artifact.find import Artifact, Target
    from materia_runner.config.pipeline import Pipeline

RELEASE_EPILOG = """\
\b
A channel keeps its last ten releases. `previous` is the release that the current one
replaced when it was pushed. A run that is under way keeps the release that it began with.

\b
Examples:
  materia artifact release prod --to previous
  materia artifact release prod --to 3f2a90b7c1de
  materia artifact list                        shows the channels and their releases
"""
PRUNE_EPILOG = """\
\b
Spared are all artifacts of all releases that a channel of any pipeline keeps, those written
within the last day, and the newest of the others. Do not set a lifecycle rule by age on
these objects: it would delete what a channel still uses.

\b
Examples:
  materia artifact prune --dry-run
  materia artifact prune --keep 5
"""
KEEP = 10

ChannelName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the channel.")]
To = Annotated[
    str,
    typer.Option("--to", metavar="previous|ID", help="Release to go to, from the channel's list."),
]
Keep = Annotated[
    int,
    typer.Option("--keep", min=0, metavar="COUNT", help="Artifacts to keep that no channel names."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")
]


def release(
    context: typer.Context,
    name: ChannelName,
    *,
    to: To,
    json: Json = False,
    config: Config = None,
) -> None:
    """Move a channel to a release that it had before."""
    from dataclasses import asdict

    from materia.errors import ConfigError

    from materia_runner.artifact.channel.publish import move_back

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config)
    check_name(name)
    bucket = needed_bucket(registry, pipeline)
    now = move_back(bucket, to, pipeline=pipeline.name, channel=name)
    if now is None:
        raise ConfigError(
            f"nothing was pushed to the channel {name} of {pipeline.name} in {bucket}; push with "
            f"`materia artifact push --channel {name}`"
        )
    echo(to_json(asdict(now)) if json else released(pipeline, name, now))


def prune(
    context: typer.Context,
    *,
    keep: Keep = KEEP,
    dry_run: DryRun = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Delete old artifacts that no channel names."""
    from dataclasses import asdict

    from materia_runner.artifact.bucket import object_name
    from materia_runner.artifact.channel.prune import prune as prune_bucket
    from materia_runner.cli.output.text import many, size

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config)
    bucket = needed_bucket(registry, pipeline)
    gone = prune_bucket(bucket, keep=keep, dry_run=dry_run)
    if json:
        echo(to_json([asdict(one) for one in gone]))
        return
    for one in gone:
        echo(f"{bucket}/{object_name(one.sha256)}  {size(one.size)}")
    done = "would be deleted" if dry_run else "deleted"
    echo(f"{many(len(gone), 'artifact')} {done}, {size(sum(one.size for one in gone))}")


def push_to_channel(
    bucket: ArtifactBucket,
    registry: Registry,
    pipeline: Pipeline,
    *,
    channel: str,
    targets: Sequence[Target],
    say: Callable[[str], None],
    environment: Mapping[str, str],
) -> Release:
    """Build what the workers and the supervisor of a channel run, and release it."""
    from materia_runner.artifact.channel.pinned import versions_of
    from materia_runner.artifact.channel.publish import Content, push_release
    from materia_runner.artifact.find import build_supervisor, find_or_build

    built: list[Artifact] = []
    for target in targets:
        built += [
            find_or_build(
                python=target.python,
                architecture=target.architecture,
                registry=registry,
                pipeline=pipeline,
                say=say,
                stages=stages,
            )
            for stages in (["extract"], None)
        ]
        built.append(build_supervisor(target, registry, pipeline, say=say))
    content = Content(
        commit=os.environ.get("CI_COMMIT_SHA", ""),
        source=", ".join(pipeline.sources),
        sink=pipeline.sink,
        versions=versions_of(registry, pipeline),
        models=_models(registry, pipeline, environment),
    )
    unique = list({one.sha256: one for one in built}.values())
    return push_release(bucket, unique, content, pipeline=pipeline.name, channel=channel, say=say)


def workers_targets(registry: Registry, pipeline: Pipeline) -> list[Target]:
    """The Pythons and processors of the machines that the pipeline may rent."""
    from materia_runner.artifact.find import Target
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.planning.source_workers import planned_stages
    from materia_runner.run.machine_facts import expected

    state = State(state_folder(os.environ))
    found = {
        expected(state, name, pipeline.settings["provider", name], architecture)
        for name in _providers(registry, pipeline)
        for stage in planned_stages(pipeline)
        for worker in (stage, *(one for way in stage.ways for one in way))
        for architecture in worker.requirements.architectures
    }
    known = sorted({(one.python, one.architecture) for one in found})
    return [Target.of(python, architecture) for python, architecture in known]


def _providers(registry: Registry, pipeline: Pipeline) -> list[str]:
    rents = {
        one.plugin.name
        for one in registry.of_kind("provider")
        if one.plugin.rents and ("provider", one.plugin.name) in pipeline.settings
    }
    return sorted(rents & {*pipeline.providers} if pipeline.providers else rents)


def _models(registry: Registry, pipeline: Pipeline, environment: Mapping[str, str]) -> str:
    from materia_runner.worker.sqlmesh.fingerprint import models_fingerprint

    sources = open_sources(registry, pipeline, environment).values()
    folders = [*(source.models() for source in sources), pipeline.project]
    return models_fingerprint(one for one in folders if one is not None)


def needed_bucket(registry: Registry, pipeline: Pipeline) -> ArtifactBucket:
    """The pipeline's bucket.

    Raises:
        ConfigError: materia.toml sets none.
        MissingSecretError: its credentials are missing.
    """
    from materia.errors import ConfigError

    from materia_runner.artifact.bucket import ArtifactBucket

    if pipeline.artifacts is None:
        where = pipeline.file or "materia.toml"
        raise ConfigError(
            f'{where}: no artifact bucket is set; add [artifacts] bucket = "s3://bucket/prefix"'
        )
    return ArtifactBucket(pipeline.artifacts, load_environment(registry, pipeline))


def check_name(channel: str) -> None:
    """Refuse what cannot be the name of a channel.

    Raises:
        ConfigError: it cannot.
    """
    from materia.errors import ConfigError

    from materia_runner.config.production import NAME

    if not NAME.fits(channel):
        raise ConfigError(f"a channel must be {NAME.what}, is {channel!r}")


def released(pipeline: Pipeline, name: str, now: Release) -> str:
    """A line about the current release of a channel."""
    from materia_runner.figures import moment_text

    commit = f", commit {now.commit[:12]}" if now.commit else ""
    return (
        f"channel {name} of {pipeline.name}: release {now.id}, pushed "
        f"{moment_text(now.pushed_at)}{commit}"
    )


def channel_rows(bucket: ArtifactBucket | None) -> list[dict[str, Any]]:
    """The releases of all channels in the bucket, a row each."""
    if bucket is None:
        return []
    from materia_runner.artifact.channel.pointer import Pointers

    return [
        {
            "pipeline": pipeline,
            "channel": name,
            "release": one.id,
            "current": one.id == channel.current,
            "pushed_at": one.pushed_at,
            "commit": one.commit,
            "versions": dict(one.versions),
            "artifacts": [artifact.sha256 for artifact in one.artifacts],
        }
        for (pipeline, name), channel in Pointers(bucket).every().items()
        for one in channel.releases
    ]


def channel_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of the channels and their releases."""
    from materia_runner.cli.output.text import table
    from materia_runner.figures import moment_text

    head = ("channel", "pipeline", "release", "current", "pushed", "commit")
    return table(
        [
            [
                row["channel"],
                row["pipeline"],
                row["release"],
                "yes" if row["current"] else "",
                moment_text(row["pushed_at"]),
                row["commit"][:12],
            ]
            for row in rows
        ],
        head=head,
    )
