"""`materia run`: the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from materia.cli.loading import (
    bundled_only,
    load_pipeline,
    load_registry,
    to_json,
    warn_of_failures,
)
from materia.cli.options import Config, Everything, Json, ProviderName, Quiet, Sample

if TYPE_CHECKING:
    from materia.model import Pipeline, Stage

EPILOG = """\
\b
Examples:
  materia run --sample             try it: offline, on data that comes along
  materia run                      fetch what is new, build, publish
  materia run --json | jq .run     for programs
  materia run --everything         ask again for all that was ever released
  materia run --config other.toml  another pipeline

\b
A run that was cut off, at any point, goes on where it stopped. A file that cannot be
used is put aside, everything else is done, and the exit code is 1. Progress is shown
when standard error is a terminal; NO_COLOR is honoured. With --json, a stage that failed
leaves standard output empty; its reason is on standard error, as without it.
"""


def run(
    context: typer.Context,
    *,
    sample: Sample = False,
    config: Config = None,
    provider: ProviderName = None,
    everything: Everything = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch what is new, turn it into tables and publish them.

    Both stages, extract and transform, one after the other, each on a machine of its own: with
    the provider `local` that is a process on this one.
    """
    run_stages(
        context,
        stage=None,
        sample=sample,
        config=config,
        provider=provider,
        everything=everything,
        json=json,
        quiet=quiet,
    )


def run_stages(
    context: typer.Context,
    *,
    stage: str | None,
    sample: bool,
    config: Path | None,
    provider: str | None,
    everything: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Run all stages, or the one called *stage*, and tell what was done.

    Raises:
        SourceError: at the end, when some partitions could not be had.
    """
    import os
    import sys

    from materia import runner
    from materia.cli.live import Live
    from materia.cli.summary import problems_of, summary
    from materia.errors import SourceError
    from materia.problems import listing
    from materia.sample import sampled

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config, provider=provider)
    if sample:
        pipeline = sampled(pipeline, registry)
    if stage is not None:
        pipeline = replace(pipeline, stages=(_stage_called(stage, pipeline),))
    with Live(sys.stderr, os.environ, quiet=quiet) as live, _file_named(pipeline):
        report = runner.run(
            pipeline,
            registry,
            os.environ,
            everything=everything,
            bundled_only=bundled_only(context),
            observe=live.observe,
        )
    if json:
        typer.echo(to_json(asdict(report)))
    elif not quiet:
        typer.echo(summary(report, here=Path.cwd(), python=python_command(os.environ)))
    if problems := problems_of(report):
        many = "1 partition" if len(problems) == 1 else f"{len(problems)} partitions"
        raise SourceError(
            f"{many} of {pipeline.source} could not be used; everything else was done\n"
            f"{listing(problems)}"
        )


def _stage_called(name: str, pipeline: Pipeline) -> Stage:
    from materia.errors import ConfigError
    from materia.plugins import suggestion

    stages = {stage.name: stage for stage in pipeline.stages}
    if name not in stages:
        raise ConfigError(
            f"unknown stage {name!r}{suggestion(name, list(stages))}; stages: {', '.join(stages)}"
        )
    return stages[name]


@contextmanager
def _file_named(pipeline: Pipeline) -> Iterator[None]:
    """Name the file in what a plugin says of its settings: the plugin cannot know it."""
    from materia.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        if pipeline.file is None or str(pipeline.file) in str(error):
            raise
        raise ConfigError(f"{pipeline.file}: {error}") from error


def python_command(environment: Mapping[str, str]) -> str:
    """How the user starts the Python that has everything installed."""
    import shlex
    import sys

    if "UV_RUN_RECURSION_DEPTH" in environment:  # set by `uv run` for what it starts
        return "uv run python"
    return shlex.quote(sys.executable)
