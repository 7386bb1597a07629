"""`materia run`: run the whole pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from materia_runner.cli.context import (
    bundled_only,
    file_named,
    load_environment,
    load_pipeline,
    load_registry,
    refuse_question_mark,
    to_json,
    warn_of_failures,
)
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app
from materia_runner.cli.notified import notified
from materia_runner.cli.options import (
    Config,
    Drop,
    DryRun,
    Everything,
    Json,
    MaxCost,
    ProviderName,
    Quiet,
    Sample,
    SourceNames,
    Yes,
)

if TYPE_CHECKING:
    from materia_runner.cli.output.progress import ProgressDisplay
    from materia_runner.config.pipeline import Pipeline, Stage
    from materia_runner.planning.plan_run import Planned

EPILOG = """\
\b
Examples:
  materia run --sample             try it: offline, on bundled sample data
  materia run                      fetch new data, build tables, publish them
  materia run --json | jq .run     for programs
  materia run --everything         ask the source again for every partition
  materia run --config other.toml  run another pipeline
  materia run --source ecb         fetch this source only, of several
  materia run --drop ecb           remove the tables of a source that is no longer listed
  materia run --provider auto --dry-run        show which machines it would rent, and why
  materia run --provider auto --max-cost 0.50  rent them, unless it could cost more
  materia run --provider auto --yes            rent without asking

\b
A new run resumes where an interrupted one stopped. A file that cannot be used is
quarantined, everything else is done, and the exit code is 1. Progress is shown when
standard error is a terminal; NO_COLOR is honoured. With --json, the report is on
standard output, and every event on standard error as it happens, one JSON object a line;
other lines there, such as the reason of a failure, are for people. A run that failed leaves
standard output empty.

\b
On a terminal the runner shows the plan and asks before it rents; without one, or where
CI is set, it rents within the caps. Machines that replace failed ones are not asked for.
The runner destroys rented machines when their stages succeed, fail or are interrupted.
The next command names machines that a killed run left behind; `materia sweep` destroys
them. `materia runs show` shows what was rented, what it cost, and where the logs are.
"""


def run(
    context: typer.Context,
    *,
    sample: Sample = False,
    config: Config = None,
    provider: ProviderName = None,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
    everything: Everything = False,
    source: SourceNames = None,
    drop: Drop = None,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch new data, turn it into tables and publish them.

    Runs the stages extract and transform, one after the other, on the cheapest machine on offer.
    With the default provider `local`, that is a process on this machine; both stages share a
    rented machine where that is cheaper.
    """
    if dry_run:
        from materia_runner.cli.commands.pipelines.plan import show_plan

        show_plan(
            context,
            sample=sample,
            config=config,
            provider=provider,
            max_cost=max_cost,
            source=source,
            json=json,
        )
        return
    run_stages(
        context,
        stage=None,
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


def run_stages(
    context: typer.Context,
    *,
    stage: str | None,
    sample: bool,
    config: Path | None,
    provider: str | None,
    max_cost: Decimal | None,
    everything: bool,
    source: list[str] | None,
    drop: list[str] | None,
    yes: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Run all stages, or the one called *stage*, and print a summary.

    On a terminal it shows the plan and asks before it rents, unless *yes* or *json*.

    Raises:
        SourceError: at the end, when some partitions could not be used.
    """
    import os
    import sys

    from materia.errors import SourceError

    from materia_runner.cli.output.progress import EventLines, ProgressDisplay
    from materia_runner.cli.output.summary import problems_of, summary
    from materia_runner.config.sample import sampled
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.messages.partition_problems import listing
    from materia_runner.run import runner

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(
        registry,
        config,
        provider=provider,
        max_cost=max_cost,
        only=source or (),
        drop=drop or (),
    )
    refuse_question_mark(pipeline)
    if sample:
        pipeline = sampled(pipeline, registry)
    if stage is not None:
        pipeline = replace(pipeline, stages=(stage_called(stage, pipeline),))
    display = ProgressDisplay(sys.stderr, os.environ, quiet=quiet)
    asks = not (yes or json) and on_terminal(os.environ)
    shown = EventLines(sys.stderr) if json else display
    environment = load_environment(registry, pipeline)
    # A trial with sample data, or a single stage, is no run of the schedule.
    trial = sample or stage is not None
    with notified("run", pipeline, environment, trial=trial) as lines:
        with shown as live, file_named(pipeline):
            report = runner.run(
                pipeline,
                registry,
                environment,
                state=State(state_folder(os.environ)),
                everything=everything,
                bundled_only=bundled_only(context),
                observe=lines.observing(live.observe),
                approve=partial(ask_to_rent, display, pipeline) if asks else lambda _: True,
            )
        if json:
            echo(to_json(asdict(report)))
        elif not quiet:
            echo(summary(report, here=Path.cwd(), python=python_command(os.environ)))
        if problems := problems_of(report):
            many = "1 partition" if len(problems) == 1 else f"{len(problems)} partitions"
            # Of several sources, each line of the list has the name of its own.
            of = f" of {pipeline.reads}" if len(pipeline.fetched) == 1 else ""
            raise SourceError(
                f"{many}{of} could not be used; everything else was done; "
                "run again later\n"
                f"{listing(problems)}"
            )


def on_terminal(environment: Mapping[str, str]) -> bool:
    """Whether a person can answer a question: a terminal on both ends, and no CI."""
    import sys

    return sys.stdin.isatty() and sys.stderr.isatty() and not environment.get("CI")


def ask_to_rent(display: ProgressDisplay, pipeline: Pipeline, planned: Planned) -> bool:
    """Show the plan, and ask whether to rent its machines; the end of input is a no."""
    from materia_runner.cli.output.plan_table import Shown, as_text

    shown = Shown(
        plan=planned.plan,
        unanswered=planned.unanswered,
        budget=pipeline.budget,
        left_out=planned.left_out,
    )
    with display.paused():
        echo(f"{as_text(shown)}\n", err=True)
        try:
            return typer.confirm("Rent these machines and run?", err=True)
        except typer.Abort:
            return False


def stage_called(name: str, pipeline: Pipeline) -> Stage:
    """The stage called *name*.

    Raises:
        ConfigError: the pipeline has no stage of that name.
    """
    from materia.errors import ConfigError
    from materia.text import suggestion

    stages = {stage.name: stage for stage in pipeline.stages}
    if name not in stages:
        raise ConfigError(
            f"unknown stage {name!r}{suggestion(name, list(stages))}; stages: {', '.join(stages)}"
        )
    return stages[name]


def python_command(environment: Mapping[str, str]) -> str:
    """The command that starts the Python materia is installed in."""
    import shlex
    import sys

    if "UV_RUN_RECURSION_DEPTH" in environment:  # set by `uv run` for what it starts
        return "uv run python"
    return shlex.quote(sys.executable)


app = command_app("run", run, epilog=EPILOG)
