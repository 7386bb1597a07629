"""`materia pipeline`: run a single stage."""

from __future__ import annotations

from typing import Annotated

import typer

from materia_runner.cli.commands.pipelines.run import run_stages
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import (
    Config,
    Drop,
    Everything,
    Json,
    MaxCost,
    ProviderName,
    Quiet,
    Sample,
    SourceNames,
    Yes,
)

RUN_EPILOG = """\
\b
Stages:
  extract    fetches new files from the source, and records where each came from
  transform  loads the files in use, builds the tables with SQLMesh, checks and publishes
             them; does nothing when neither files nor models have changed

\b
Examples:
  materia pipeline run extract
  materia pipeline run transform
  materia pipeline run extract --everything
"""

app = group_app(
    "pipeline",
    help="Run a single stage of the pipeline.",
    epilog="`materia run` runs all stages, in their order.",
)


@app.callback()
def group() -> None:
    """Run a single stage of the pipeline."""


def complete_stage(incomplete: str) -> list[str]:
    """Names of the stages."""
    from materia_runner.config.stages import STAGES

    return [stage.name for stage in STAGES if stage.name.startswith(incomplete)]


@app.command("run", cls=Command, epilog=RUN_EPILOG)
def run_stage(
    context: typer.Context,
    stage: Annotated[
        str,
        typer.Argument(
            metavar="STAGE", help="extract or transform.", autocompletion=complete_stage
        ),
    ],
    *,
    sample: Sample = False,
    config: Config = None,
    provider: ProviderName = None,
    max_cost: MaxCost = None,
    everything: Everything = False,
    source: SourceNames = None,
    drop: Drop = None,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run one stage.

    A stage reads from the sink what the stage before it wrote.
    """
    run_stages(
        context,
        stage=stage,
        sample=sample,
        config=config,
        provider=provider,
        max_cost=max_cost,
        everything=everything,
        source=source,
        drop=drop,
        yes=yes,
        json=json,
        quiet=quiet,
    )
