"""`materia tables`: list and export published tables, and restore those of an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from materia_runner.cli.commands.tables.history import (
    HISTORY_EPILOG,
    LIST_EPILOG,
    ROLLBACK_EPILOG,
    history,
    list_tables,
    rollback,
)
from materia_runner.cli.commands.tables.query import Run, published_database
from materia_runner.cli.context import to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import Config, Json

EXPORT_EPILOG = """\
\b
Examples:
  materia tables export serving.fct_balance balance.parquet
  materia tables export serving.obt_commodity_metrics metrics.csv
  materia tables export serving.agg_world_balance world.xlsx

\b
The ending of the file chooses the format. Codes stay text, with their leading zeros. An
existing file is replaced, whole or not at all. A sheet that cannot hold the table (too
many rows, a number of more than 15 digits, a date before 1900) is an error that names the
row; .xlsx needs the extra `xlsx`.
"""

app = group_app("tables", help="List and export published tables, and roll back.")


@app.callback()
def group() -> None:
    """List and export published tables, and roll back."""


@app.command("export", cls=Command, epilog=EXPORT_EPILOG)
def export(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="TABLE", help="A table with its schema, as serving.fct_balance."),
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .parquet, .csv or .xlsx.")],
    *,
    config: Config = None,
    json: Json = False,
    run: Run = None,
) -> None:
    """Write a published table to a Parquet, CSV or Excel file."""
    from materia_runner.tables.export import export_table

    rows = export_table(published_database(context, config, run=run), name, file)
    if json:
        echo(to_json({"table": name, "file": str(file.absolute()), "rows": rows}))
    else:
        echo(f"{name}: {rows:,} rows written to {file}")


app.command("list", cls=Command, epilog=LIST_EPILOG)(list_tables)
app.command("history", cls=Command, epilog=HISTORY_EPILOG)(history)
app.command("rollback", cls=Command, epilog=ROLLBACK_EPILOG)(rollback)
