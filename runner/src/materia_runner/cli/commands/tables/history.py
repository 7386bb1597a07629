"""`materia tables list`, `history` and `rollback`: published tables, now and in earlier runs."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.commands.pipelines.run import on_terminal
from materia_runner.cli.commands.tables.query import (
    Run,
    published_database,
    sink_in_use,
    with_history,
)
from materia_runner.cli.context import load_environment, load_pipeline, load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.options import Config, Json
from materia_runner.figures import moment_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from materia.data import PublishedState
    from materia.protocols import HasHistory

LIST_EPILOG = """\
\b
Examples:
  materia tables list
  materia tables list --json
  materia tables list --run 20261124T085500-ab12cd      as that run published them
"""
HISTORY_EPILOG = """\
\b
Examples:
  materia tables history
  materia tables history --json | jq '.[0].run'
  materia query --run RUN "FROM serving.fct_balance LIMIT 5"

\b
Newest first; the first one is in force. The bundled sinks that keep their tables in a
bucket have the last 24; a sink that has only the newest says so. Times are in UTC. The
place is an object in the bucket, or a snapshot of a catalog's table that names the
snapshot of every table of that run.
"""
ROLLBACK_EPILOG = """\
\b
Examples:
  materia tables history                                       which runs there are
  materia tables rollback --to 20261124T085500-ab12cd          ask first, on a terminal
  materia tables rollback --to 20261124T085500-ab12cd --yes    never ask

\b
A rollback is a publication of its own: readers see all tables of that run at once, and
`materia tables history` and `materia runs` list it. It stays in force while runs find
nothing new, those of a schedule too. It ends when a run builds a new partition or a
changed model: that run publishes all tables anew, with every raw file in use. So remove
the cause first. To go forward again, roll back to the newest run.
"""
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Publish without asking. Only a terminal asks; CI never."),
]
To = Annotated[
    str, typer.Option("--to", metavar="RUN", help="A run, or the beginning of only one.")
]


def list_tables(
    context: typer.Context, *, config: Config = None, json: Json = False, run: Run = None
) -> None:
    """List published tables, with their rows."""
    from materia_runner.cli.output.text import table
    from materia_runner.tables.counts import tables_in
    from materia_runner.tables.database import opened
    from materia_runner.tables.owners import is_worth_telling, sources_of

    database = published_database(context, config, run=run)
    found = tables_in(database)
    with opened(database) as connection:
        sources = sources_of(connection)
    if json:
        listed = [
            {"table": name, "rows": rows, "source": sources.get(name) or None}
            for name, rows in found.items()
        ]
        echo(to_json(listed))
        return
    tells = is_worth_telling(sources)
    rows = [
        [
            name,
            "cannot be counted" if count is None else f"{count:,}",
            *([sources.get(name, "")] if tells else []),
        ]
        for name, count in found.items()
    ]
    head = ["table", "rows", *(["source"] if tells else [])]
    echo(table(rows, head=head) if rows else "no tables are published")


def history(context: typer.Context, *, config: Config = None, json: Json = False) -> None:
    """List the publications that the sink still has."""
    name, sink = sink_in_use(context, config)
    kept = with_history(name, sink).publications()
    if json:
        echo(to_json([asdict(one) for one in kept]))
    else:
        echo(_as_text(kept) if kept else "nothing is published yet; run `materia run`")


def rollback(
    context: typer.Context, *, to: To, config: Config = None, yes: Yes = False, json: Json = False
) -> None:
    """Publish the tables of an earlier run again."""
    name, sink = sink_in_use(context, config)
    keeper = with_history(name, sink)
    kept = keeper.publications()
    target = _chosen(kept, to)
    built, replaced = target.restores or target.run, kept[0].restores or kept[0].run
    if built == replaced:
        _tell(f"the tables of the run {built} are in force already; nothing was changed", json=json)
        run = None
    else:
        said = (
            f"publishes the tables of the run {built} ({moment_text(target.published_at)} UTC, "
            f"{target.rows:,} rows)\nin place of those of the run {replaced}."
        )
        echo(
            f"{said}\n"
            "They stay in force while runs find nothing new, those of a schedule too, until a run "
            "builds\na new partition or a changed model.",
            err=True,
        )
        if not (yes or json) and on_terminal(os.environ):
            typer.confirm("Publish them?", err=True, abort=True)
        run = _recorded(context, config, keeper, target.run, said.replace("\n", " ").rstrip("."))
        _tell(f"the tables of the run {built} are in force, published as {run}", json=json)
    if json:
        result: dict[str, Any] = {"run": run, "restores": built, "published": run is not None}
        echo(to_json(result))


def _recorded(
    context: typer.Context, config: Path | None, keeper: HasHistory, to: str, said: str
) -> str:
    """Roll back to the run *to*, and record that in the ledger; the identity of the rollback."""
    from materia_runner.cli.commands.tables.recorded_rollback import roll_back
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.secrets.redaction import all_to_hide, redact

    registry = load_registry(context)
    pipeline = load_pipeline(registry, config)
    environment = load_environment(
        registry, pipeline, using=(), bucket=pipeline.artifacts is not None
    )
    hidden = all_to_hide(environment, registry)
    return roll_back(
        keeper,
        to,
        pipeline=pipeline,
        environment=environment,
        state=State(state_folder(os.environ)),
        said=said,
        clean=lambda text: redact(text, hidden),
        warn=lambda text: echo(f"materia: warning: {text}", err=True),
    )


def _tell(text: str, *, json: bool) -> None:
    if not json:
        echo(text)


def _chosen(kept: Sequence[PublishedState], to: str) -> PublishedState:
    """The publication of the run *to*, or of the only one that begins so.

    Raises:
        ConfigError: there is none, or there are several.
    """
    from materia.errors import ConfigError

    found = [one for one in kept if one.run == to] or [
        one for one in kept if to and one.run.startswith(to)
    ]
    if len(found) != 1:
        some = "more than one" if found else "no"
        raise ConfigError(
            f"--to {to}: {some} publication of a run that begins so is kept; `materia tables "
            "history` lists them"
        )
    return found[0]


def _as_text(kept: Sequence[PublishedState]) -> str:
    from materia_runner.cli.output.text import size, table

    rows = [
        [
            one.run,
            moment_text(one.published_at),
            f"{one.rows:,}",
            size(one.size),
            one.restores or "",
            one.place,
        ]
        for one in kept
    ]
    head = ["run", "published", "rows", "size", "tables of", "place"]
    return table(rows, head=head)
