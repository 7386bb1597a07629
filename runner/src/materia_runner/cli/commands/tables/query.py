"""`materia query`: run an SQL query on published tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.context import load_environment, load_pipeline, load_registry
from materia_runner.cli.echo import Whole, echo
from materia_runner.cli.fast_typer import Command, command_app
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from materia.protocols import HasHistory, Sink

Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Read the tables that this run published; `materia tables history` lists the runs.",
    ),
]
EPILOG = """\
\b
Examples:
  materia query "FROM serving.fct_balance LIMIT 5"
  materia query "SHOW ALL TABLES"
  materia query "SELECT commodity, count(*) FROM serving.dim_commodity GROUP BY ALL" --json
  materia query --csv - < question.sql > answer.csv
  materia query --run 20261124T085500-ab12cd "FROM serving.fct_balance LIMIT 5"

\b
The SQL is DuckDB's. A query reads the tables of the sink in use and nothing else: it
changes nothing, and files, addresses and extensions are closed to it. On a terminal it
shows 40 rows, as many columns as fit, and the number of all; --json and --csv print
every row and column, decimals with all their digits.
"""
# An option, and not a query that begins with a comment.
OPTION = re.compile(r"--[a-z][a-z-]*(=.*)?", re.DOTALL)
ROWS = 40
WIDTH = 200  # where the output is no terminal


class Query(Command):
    """The command, which takes SQL that begins with a comment for SQL."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Put a word that begins with `--` and is no option behind the end of the options."""
        if "--" not in args:
            sql = [one for one in args if one.startswith("--") and not OPTION.fullmatch(one)]
            args = [*(one for one in args if one not in sql), *(["--", *sql] if sql else [])]
        return super().parse_args(ctx, args)


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One query; - reads it from stdin.")],
    *,
    config: Config = None,
    rows: Annotated[
        int, typer.Option("--rows", min=1, metavar="COUNT", help="Show at most this many rows.")
    ] = ROWS,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
    run: Run = None,
) -> None:
    """Run an SQL query on published tables."""
    import os
    import shutil
    import sys

    from materia_runner.tables.database import opened
    from materia_runner.tables.query import as_csv, as_json, as_text, batched, run_query

    if json and csv:
        raise typer.BadParameter("choose one of --json and --csv")
    if sql == "-":
        sql = sys.stdin.read()
    with opened(published_database(context, config, run=run)) as connection:
        found = run_query(connection, sql)
        if json or csv:
            lines = as_json(found) if json else as_csv(found)
            for some in batched(lines):
                echo(Whole("\n".join(some)))
            return
        wide = sys.stdout.isatty() or "COLUMNS" in os.environ
        columns = shutil.get_terminal_size().columns if wide else WIDTH
        echo(Whole(as_text(found, width=columns, most=rows)))


def sink_in_use(context: typer.Context, config: Path | None) -> tuple[str, Sink]:
    """The name of the sink in use, and the opened sink."""
    from materia_runner.opening import open_plugin

    registry = load_registry(context)
    pipeline = load_pipeline(registry, config)
    found = registry.sink(pipeline.sink)
    sink = open_plugin(
        found,
        load_environment(registry, pipeline, using=[found]),
        settings=pipeline.settings["sink", pipeline.sink],
        directory=pipeline.directory,
    )
    return pipeline.sink, sink


def with_history(name: str, sink: Sink) -> HasHistory:
    """The sink *name*, if it keeps more than the newest publication.

    Raises:
        SinkError: it does not.
    """
    from materia.errors import SinkError
    from materia.protocols import HasHistory

    if not isinstance(sink, HasHistory):
        raise SinkError(
            f"the sink {name} keeps only its newest publication, so no earlier one can be listed, "
            "read or restored; a sink that keeps its tables in a bucket can"
        )
    return sink


def published_database(
    context: typer.Context, config: Path | None, *, run: str | None = None
) -> Path:
    """The published database of the sink in use, or the one that *run* published.

    Raises:
        SinkError: nothing is published yet, or the sink has no publication of that run.
    """
    from materia.errors import SinkError

    name, sink = sink_in_use(context, config)
    if run is not None:
        return with_history(name, sink).published_by(run)
    database = sink.published()
    if database is None:
        raise SinkError(
            f"nothing is published in the sink {name} yet; run `materia run`, or "
            "`materia run --sample` for sample data"
        )
    return database


app = command_app("query", query, epilog=EPILOG, cls=Query)
