"""`materia runs`: what was run, on which machines, and what it cost."""

from __future__ import annotations

import os
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
  materia runs show                     all about the newest run
  materia runs cost --since 2026-11     what was paid, by month, provider and stage

\b
How a run ended:
  ok             all its stages succeeded
  failed         the reason is in `materia runs show`
  interrupted    by Ctrl-C or a signal, or its process was killed
  over budget    it would have passed what it may cost
  running        its process lives
  cut off        its process was killed just now; `materia sweep` clears up after it

Everything is kept in ~/.local/state/materia, or the folder named in MATERIA_STATE_DIR. Times
are in UTC, costs net of VAT.
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
  materia runs show 20261124T085500     any beginning that only one run has
  materia runs show --json 20261124T085500-ab12cd | jq .instances

\b
In the order of the page:
  head      when, how long, how it ended, what it cost beside what was thought
  plan      the quotes that were compared, best first, and the choice
  machines  when each was asked for, reachable and verified gone; its bill line by line
  stages    every attempt, how long it took, what it did
  timeline  what happened when
  logs      where they are, and the last lines of a stage that did not end well
"""
COST_EPILOG = """\
\b
Examples:
  materia runs cost                     all that was ever rented
  materia runs cost --since 2026-11-01
  materia runs cost --since 30d --json

A machine belongs to the month in which it was asked for, in UTC, as bills do; one that served two
stages is divided among them by the time they took. What still runs counts with its cost so far.
Amounts of different currencies are never added up.
"""


def since(text: str) -> datetime:
    """`2026-11-24`, `2026-11`, or a length of time before now: `30d`."""
    for form in ("%Y-%m-%d", "%Y-%m"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        return datetime.now(UTC) - duration(text)
    except typer.BadParameter:
        raise typer.BadParameter(
            f"{text!r} is neither a day like 2026-11-24, a month like 2026-11, nor a length of "
            f"time like 30d"
        ) from None


def complete_run(incomplete: str) -> list[tuple[str, str]]:
    """Identities of the newest runs, with how they ended."""
    from materia.errors import MateriaError

    try:
        with _opened() as (_, ledger):
            rows = ledger.runs(limit=100) if ledger else ()
    except MateriaError:  # the command itself will say so
        return []
    return [
        (row.run, f"{row.state}, {row.source or 'worker by hand'}")
        for row in rows
        if row.run.startswith(incomplete)
    ]


Since = Annotated[
    datetime | None,
    typer.Option(
        "--since", parser=since, metavar="DATE", help="Since then: 2026-11-24, 2026-11, or 30d."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Show at most so many.")]
Run = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        autocompletion=complete_run,
        help="Identity of the run, or the beginning of it; without, the newest.",
    ),
]

app = group_app("runs", help="List runs, and tell what they did and cost.", epilog=EPILOG)


@app.callback(invoke_without_command=True, no_args_is_help=False)
def runs(
    context: typer.Context, *, since: Since = None, limit: Limit = 20, json: Json = False
) -> None:
    """List runs, and tell what they did and cost."""
    if context.invoked_subcommand is None:
        _list(since, limit, json=json)


@app.command("list", cls=Command, epilog=LIST_EPILOG)
def list_runs(
    context: typer.Context, *, since: Since = None, limit: Limit = 20, json: Json = False
) -> None:
    """List runs, the newest first; `materia runs` alone does it too."""
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
def show(context: typer.Context, run: Run = None, *, json: Json = False) -> None:
    """Tell all about one run: its plan, machines, bill, stages and logs."""
    from materia.errors import ConfigError

    from materia_runner.cli.output.runs.show import show_text, show_values

    with _opened() as (state, ledger):
        newest = ledger.runs(limit=1) if ledger else ()
        if ledger is None or not newest:
            raise ConfigError(f"there are no runs yet; they are kept in {state.folder}")
        row = newest[0] if run is None else ledger.run(run)
        values = show_values(row, state, ledger, datetime.now(UTC))
    echo(to_json(values) if json or _before(context, "json") else show_text(values))


@app.command("cost", cls=Command, epilog=COST_EPILOG)
def cost(context: typer.Context, *, since: Since = None, json: Json = False) -> None:
    """Tell what rented machines cost, by month, provider and stage."""
    from materia_runner.cli.output.runs.table import cost_text, cost_values

    since = since or _before(context, "since")
    with _opened() as (_, ledger):
        now = datetime.now(UTC)
        rows = ledger.costs(since=since, now=now) if ledger else ()
    values = cost_values(rows, since)
    echo(to_json(values) if json or _before(context, "json") else cost_text(values))


@contextmanager
def _opened() -> Iterator[tuple[State, Ledger | None]]:
    """The state, and the ledger when there is one: looking makes nothing."""
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State

    state = State(state_folder(os.environ))
    if not state.ledger_file.exists():
        yield state, None
        return
    with state.ledger() as ledger:
        yield state, ledger


def _before(context: typer.Context, option: str) -> Any:
    """The option where it stands before the name of the command: `materia runs --json cost`."""
    return None if context.parent is None else context.parent.params.get(option)
