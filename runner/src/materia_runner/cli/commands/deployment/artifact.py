"""`materia artifact`: build, cache and push the bundle that a rented machine runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.commands.deployment import artifact_channel
from materia_runner.cli.commands.machines.price import Arch, split
from materia_runner.cli.context import (
    load_environment,
    load_pipeline,
    load_registry,
    to_json,
    warn_of_failures,
)
from materia_runner.cli.echo import Whole, echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import Config, Json, Quiet

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.artifact.find import Artifact, Target
    from materia_runner.config.pipeline import Pipeline

app = group_app(
    "artifact",
    help="Build, list and push what rented machines run.",
)

BUILD_EPILOG = """\
\b
An artifact is one tar.gz that needs only Python on the machine. It has the core, the source
and the sink of the pipeline with their dependencies, as installed here, and the SQLMesh
project. With --stage extract it is small, for machines that only fetch: without SQLMesh,
DuckDB, the project, and a sink that stays on this machine.
It has no provider, no secret and no setting. `materia run` builds the artifacts it needs;
use this command to inspect one, or to build it ahead of time.

\b
Choose the Python of the system image:
  3.11  Debian 12     the default of hetzner and ovh
  3.12  Ubuntu 24.04  the default of scaleway and oracle
  3.13  Debian 13

\b
Examples:
  materia artifact build
  materia artifact build --python 3.11,3.12 --arch x86_64 --arch arm64
  materia artifact build --stage extract
  materia artifact build --supervisor
  materia artifact build --output dist
"""
PUSH_EPILOG = """\
\b
The bucket is set in materia.toml:
  [artifacts]
  bucket = "s3://bucket/prefix"
  endpoint = "https://..."      for a store that is not AWS
  region = "eu-central-1"
Credentials are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or with own_key = true
MATERIA_ARTIFACTS_KEY_ID and MATERIA_ARTIFACTS_KEY_SECRET (see `materia secrets list`). They
stay on this machine: a worker gets a URL that is valid for 15 minutes. An artifact in the
bucket is never replaced; pushing it again does nothing.

\b
With --channel it builds all that the pipeline's workers and the machine that starts its
runs need, for the images of its providers (or for --python and --arch), uploads that, and
moves the channel last: whenever a push is killed, the channel has the old release or the
new one. Runs use it with [artifacts] channel = "NAME" in materia.toml.

\b
Examples:
  materia artifact push
  materia artifact push --channel prod
  materia artifact push --channel prod --python 3.11,3.12 --arch x86_64
"""
LIST_EPILOG = """\
\b
Lists the artifacts cached on this machine, and those in the bucket when there is one. When
materia builds an artifact, it deletes the cached ones not used for two days (it can rebuild
them in a second). From the bucket, only `materia artifact prune` deletes. Then it lists the
channels in the bucket with their releases; --json has them under "channels".
"""

Python = Annotated[
    list[str] | None,
    typer.Option("--python", metavar="VERSION", help="3.11 (the default), 3.12 or 3.13."),
]
Stage = Annotated[
    str | None,
    typer.Option("--stage", metavar="NAME", help="Build for this stage only; extract is small."),
]
Supervisor = Annotated[
    bool,
    typer.Option("--supervisor", help="Build the command line, for the machine that starts runs."),
]
Channel = Annotated[
    str | None,
    typer.Option(
        "--channel",
        metavar="NAME",
        help="Push what runs of this channel need, and make it their release.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="DIR", help="Copy the artifacts to this folder too."),
]


@app.callback()
def group() -> None:
    """Build, list and push what rented machines run."""


@app.command("build", cls=Command, epilog=BUILD_EPILOG)
def build(
    context: typer.Context,
    *,
    python: Python = None,
    arch: Arch = None,
    stage: Stage = None,
    supervisor: Supervisor = False,
    output: Output = None,
    quiet: Quiet = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Build artifacts (default: for Python 3.11 on x86_64)."""
    from materia_runner.cli.output.text import size

    registry, pipeline = _loaded(context, config, stage)
    say = _say(quiet=quiet)
    if supervisor and stage is not None:
        raise typer.BadParameter("give --stage or --supervisor, not both")
    made = _supervisors if supervisor else _built
    built = [_copied(artifact, output) for artifact in made(registry, pipeline, python, arch, say)]
    if json:
        echo(to_json([asdict(artifact) for artifact in built]))
        return
    for artifact in built:
        echo(Whole(artifact.path))
        stages = " and ".join(artifact.stages)
        say(f"{stages}, Python {artifact.python} on {artifact.architecture}, {size(artifact.size)}")


@app.command("push", cls=Command, epilog=PUSH_EPILOG)
def push(
    context: typer.Context,
    *,
    python: Python = None,
    arch: Arch = None,
    stage: Stage = None,
    channel: Channel = None,
    quiet: Quiet = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Build artifacts, and push them to the bucket."""
    from materia.errors import ConfigError

    registry, pipeline = _loaded(context, config, stage)
    bucket = artifact_channel.needed_bucket(registry, pipeline)
    if channel is not None:
        if stage is not None:
            raise ConfigError("--stage and --channel exclude each other: a channel has all stages")
        artifact_channel.check_name(channel)
        targets = _targets(python, arch)
        if python is None and arch is None:
            targets = artifact_channel.workers_targets(registry, pipeline) or targets
        released = artifact_channel.push_to_channel(
            bucket,
            registry,
            pipeline,
            channel=channel,
            targets=targets,
            say=_say(quiet=quiet),
            environment=load_environment(registry, pipeline),
        )
        echo(
            to_json(asdict(released))
            if json
            else artifact_channel.released(pipeline, channel, released)
        )
        return
    pushed = []
    for artifact in _built(registry, pipeline, python, arch, _say(quiet=quiet)):
        new = bucket.push(artifact)
        pushed.append({**asdict(artifact), "new": new})
        if not json:
            done = "pushed" if new else "already there"
            echo(f"{bucket}/sha256/{artifact.sha256}.tar.gz  {done}")
    if json:
        for one in pushed:
            del one["url"]  # anyone with the URL can download the artifact
        echo(to_json(pushed))


@app.command("list", cls=Command, epilog=LIST_EPILOG)
def list_artifacts(context: typer.Context, *, json: Json = False, config: Config = None) -> None:
    """List artifacts, cached and in the bucket, and channels."""
    from materia_runner.cli.output.text import size, table
    from materia_runner.figures import moment_text

    registry, pipeline = _loaded(context, config)
    bucket = _bucket(registry, pipeline)
    rows, channels = _known(bucket), artifact_channel.channel_rows(bucket)
    if json:
        echo(to_json({"artifacts": rows, "channels": channels}))
        return
    head = ("artifact", "python", "arch", "stages", "source", "sink", "size", "here", "bucket")
    shown = [
        [
            row["sha256"][:12],
            *(row[name] or "" for name in ("python", "architecture")),
            " ".join(row["stages"] or ()),
            *(row[name] or "" for name in ("source", "sink")),
            size(row["size"]),
            *(moment_text(row[name]) if row[name] else "" for name in ("used_at", "pushed_at")),
        ]
        for row in rows
    ]
    nothing = "no artifacts; build one with `materia artifact build`"
    echo(table(shown, head=head) if rows else nothing)
    if channels:
        echo(f"\n{artifact_channel.channel_table(channels)}")


app.command("release", cls=Command, epilog=artifact_channel.RELEASE_EPILOG)(
    artifact_channel.release
)
app.command("prune", cls=Command, epilog=artifact_channel.PRUNE_EPILOG)(artifact_channel.prune)


def _loaded(
    context: typer.Context, config: Path | None, stage: str | None = None
) -> tuple[Registry, Pipeline]:
    from materia_runner.cli.commands.pipelines.run import stage_called

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config)
    if stage is not None:
        pipeline = replace(pipeline, stages=(stage_called(stage, pipeline),))
    return registry, pipeline


def _say(*, quiet: bool) -> Callable[[str], None]:
    return (lambda _: None) if quiet else (lambda text: echo(text, err=True))


def _built(
    registry: Registry,
    pipeline: Pipeline,
    python: Sequence[str] | None,
    arch: Sequence[str] | None,
    say: Callable[[str], None],
) -> list[Artifact]:
    from materia_runner.artifact.find import find_or_build

    return [
        find_or_build(
            python=target.python,
            architecture=target.architecture,
            registry=registry,
            pipeline=pipeline,
            say=say,
        )
        for target in _targets(python, arch)
    ]


def _supervisors(
    registry: Registry,
    pipeline: Pipeline,
    python: Sequence[str] | None,
    arch: Sequence[str] | None,
    say: Callable[[str], None],
) -> list[Artifact]:
    from materia_runner.artifact.find import build_supervisor

    return [
        build_supervisor(target, registry, pipeline, say=say) for target in _targets(python, arch)
    ]


def _targets(python: Sequence[str] | None, arch: Sequence[str] | None) -> list[Target]:
    from materia_runner.artifact.find import Target

    targets = [
        Target.of(version, name)
        for version in split(python) or ("3.11",)
        for name in arch or ("x86_64",)
    ]
    return list(dict.fromkeys(targets))


def _copied(artifact: Artifact, folder: Path | None) -> Artifact:
    if folder is None:
        return artifact
    import shutil

    from materia.errors import ConfigError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = shutil.copyfile(artifact.path, folder / artifact.path.name)
    except OSError as error:
        raise ConfigError(
            f"cannot copy the artifact to --output {folder}: {error.strerror or error}"
        ) from error
    return replace(artifact, path=path)


def _bucket(registry: Registry, pipeline: Pipeline) -> ArtifactBucket | None:
    if pipeline.artifacts is None:
        return None
    from materia_runner.artifact.bucket import ArtifactBucket

    return ArtifactBucket(pipeline.artifacts, load_environment(registry, pipeline))


def _known(bucket: ArtifactBucket | None) -> list[dict[str, Any]]:
    """Artifacts cached here, last used first, then those only in the bucket, newest first."""
    import os
    from datetime import UTC, datetime

    from materia_runner.artifact.find import kept_artifacts

    pushed = {one.sha256: one for one in (bucket.every() if bucket else ())}
    names = ("python", "architecture", "stages", "source", "sink", "path", "used_at")
    nothing = dict.fromkeys(names)
    rows = []
    for file in kept_artifacts(os.environ):
        there = pushed.pop(file.sha256, None)
        rows.append(
            {
                "sha256": file.sha256,
                "size": file.size,
                "stages": None,  # older artifacts have no note of it
                **file.notes,
                "path": file.path,
                "used_at": datetime.fromtimestamp(file.used_at, UTC).replace(microsecond=0),
                "pushed_at": there and there.pushed_at,
            }
        )
    rows += [
        {"sha256": one.sha256, "size": one.size, **nothing, "pushed_at": one.pushed_at}
        for one in pushed.values()
    ]
    return rows
