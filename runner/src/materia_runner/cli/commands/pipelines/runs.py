"""`materia runs`: run history, machines, logs and costs, from the ledger."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.context import to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.option_types import duration
from materia_runner.cli.options import Json

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.state import State

EPILOG = """\
\b
Examples:
  materia runs                          the newest runs, what they cost, how they ended
  materia runs --since 7d --json        for programs
  materia runs show                     the newest run in full
  materia runs cost --since 2026-11     costs by month, provider and stage

\b
How a run ended:
  ok             all its stages succeeded
  failed         the reason is in `materia runs show`
  interrupted    by Ctrl-C or a signal, or its process was killed
  over budget    it could have cost more than its cap
  running        its process is alive
  cut off        its process was just killed; `materia sweep` cleans up after it

Runs are kept in ~/.local/state/materia, or in the folder MATERIA_STATE_DIR. Times are in UTC,
costs net of VAT.
"""
LIST_EPILOG = """\
\b
Examples:
  materia runs list --limit 100
  materia runs list --since 7d --json
"""
SHOW_EPILOG = """\
\b
Examples:
  materia runs show                     the newest run
  materia runs show 20261124T085500     any unique prefix of a run's ID
  materia runs show --follow            watch the newest run until it ends
  materia runs show --json 20261124T085500-ab12cd | jq .instances

\b
The page shows, in this order:
  head      start, duration, how the run ended, cost and estimate
  plan      the quotes that were compared, best first, and the choice
  machines  when each was requested, reachable and verified gone; its bill line by line
  stages    every attempt, how long it took, what it did
  timeline  every event with its time
  logs      their paths, and the last lines of each stage that failed
"""
COST_EPILOG = """\
\b
Examples:
  materia runs cost                     every machine ever rented
  materia runs cost --since 2026-11-01
  materia runs cost --since 30d --json

A machine counts in the month in which it was requested, in UTC, as in bills; the cost of a machine
that ran two stages is divided between them by duration. A machine that still runs counts with its
cost so far. Amounts in different currencies are never added up.
"""


def since(text: str) -> datetime:
    """Parse `2026-11-24`, `2026-11`, or a duration before now: `30d`."""
    for form in ("%Y-%m-%d", "%Y-%m"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        return datetime.now(UTC) - duration(text)
    except typer.BadParameter:
        raise typer.BadParameter(
            f"{text!r} is neither a day like 2026-11-24, a month like 2026-11, nor a duration "
            f"like 30d"
        ) from None


def complete_run(incomplete: str) -> list[tuple[str, str]]:
    """IDs of the newest runs, with how they ended."""
    from materia.errors import MateriaError

    try:
        with _opened() as (_, ledger):
            rows = ledger.runs(limit=100) if ledger else ()
    except MateriaError:  # the command itself will report it
        return []
    return [
        (row.run, f"{row.state}, {row.source or 'worker by hand'}")
        for row in rows
        if row.run.startswith(incomplete)
    ]


Since = Annotated[
    datetime | None,
    typer.Option(
        "--since", parser=since, metavar="DATE", help="Only since: 2026-11-24, 2026-11, or 30d."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Show at most N runs.")]
Run = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        autocompletion=complete_run,
        help="ID of the run, or a unique prefix of it (default: the newest run).",
    ),
]

Follow = Annotated[
    bool,
    typer.Option("--follow", help="Print events as they happen, and the page when the run ends."),
]
LOOK_SECONDS = 1.0

app = group_app("runs", help="List runs, and show what they did and cost.", epilog=EPILOG)


@app.callback(invoke_without_command=True, no_args_is_help=False)
def runs(
    context: typer.Context, *, since: Since = None, limit: Limit = 20, json: Json = False
) -> None:
    """List runs, and show what they did and cost."""
    if context.invoked_subcommand is None:
        _list(since, limit, json=json)


@app.command("list", cls=Command, epilog=LIST_EPILOG)
def list_runs(
    context: typer.Context, *, since: Since = None, limit: Limit = 20, json: Json = False
) -> None:
    """List runs, newest first; the same as `materia runs`."""
    _list(
        since or _before(context, "since"),
        _before(context, "limit") if limit == 20 else limit,
        json=json or _before(context, "json"),
    )


def _list(since: datetime | None, limit: int, *, json: bool) -> None:
    from materia_runner.cli.output.runs.table import list_text, list_values
    from materia_runner.figures import moment_text

    with _opened() as (state, ledger):
        rows = ledger.runs(limit=limit, since=since) if ledger else ()
        values = list_values(rows, state, ledger, datetime.now(UTC)) if ledger else []
    if json:
        echo(to_json(values))
    elif values:
        echo(list_text(values))
    else:
        when = f" since {moment_text(since)} UTC" if since else " yet"
        echo(f"no runs{when}; they are kept in {state.folder}")


@app.command("show", cls=Command, epilog=SHOW_EPILOG)
def show(
    context: typer.Context, run: Run = None, *, follow: Follow = False, json: Json = False
) -> None:
    """Show one run: its plan, machines, bill, stages and logs."""
    from materia_runner.cli.output.runs.show import show_text

    json = json or _before(context, "json")
    values = _shown(run)
    if follow:
        from materia_runner.cli.output.runs.follow import followed

        if json:
            raise typer.BadParameter("choose one of --follow and --json")
        run = values["run"]
        for line in followed(lambda: _shown(run), lambda: time.sleep(LOOK_SECONDS)):
            echo(line)
        values = _shown(run)
        echo("")
    echo(to_json(values) if json else show_text(values))


def _shown(run: str | None) -> dict[str, Any]:
    """All that the ledger has of a run; of the newest when *run* is None.

    Raises:
        ConfigError: there is no such run.
    """
    from materia.errors import ConfigError

    from materia_runner.cli.output.runs.show import show_values

    with _opened() as (state, ledger):
        newest = ledger.runs(limit=1) if ledger else ()
        if ledger is None or not newest:
            raise ConfigError(f"there are no runs yet; they are kept in {state.folder}")
        row = newest[0] if run is None else ledger.run(run)
        return show_values(row, state, ledger, datetime.now(UTC))


@app.command("cost", cls=Command, epilog=COST_EPILOG)
def cost(context: typer.Context, *, since: Since = None, json: Json = False) -> None:
    """Show the cost of rented machines, by month, provider and stage."""
    from materia_runner.cli.output.runs.table import cost_text, cost_values

    since = since or _before(context, "since")
    with _opened() as (_, ledger):
        now = datetime.now(UTC)
        rows = ledger.costs(since=since, now=now) if ledger else ()
    values = cost_values(rows, since)
    echo(to_json(values) if json or _before(context, "json") else cost_text(values))


@contextmanager
def _opened() -> Iterator[tuple[State, Ledger | None]]:
    """The state, and the ledger when it exists; nothing is created."""
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State

    state = State(state_folder(os.environ))
    if not state.ledger_file.exists():
        yield state, None
        return
    with state.ledger() as ledger:
        yield state, ledger


def _before(context: typer.Context, option: str) -> Any:
    """The option when it is given before the subcommand: `materia runs --json cost`."""
    return None if context.parent is None else context.parent.params.get(option)
