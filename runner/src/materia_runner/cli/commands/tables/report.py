"""`materia report`: write an HTML page of the runs, their costs and the published tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.context import (
    load_environment,
    load_pipeline,
    load_registry,
    open_sources,
    to_json,
)
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from datetime import datetime

    from materia.data import Known
    from materia.plugins import Registry

    from materia_runner.cli.output.report.tables import Findings
    from materia_runner.config.pipeline import Pipeline
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.rows import CostRow, RunRow
    from materia_runner.tables.catalog import Catalog
    from materia_runner.tables.report_queries import Answer

EPILOG = """\
\b
Examples:
  materia report                        writes materia-report.html
  materia report public/index.html
  materia report --json                 the path, the size and what is in it

\b
The page is one file that loads nothing: it can be mailed, printed, or put on a server.
It shows
  what is new   answers of the report/*.sql queries of the source and of the project
  tables        columns, row counts, lineage, audits and their warnings, raw files
  runs          timeline, offers considered, choice, estimate beside cost
  costs         by month, provider and stage

\b
An existing file is replaced, whole or not at all. Runs are those of this pipeline: of this
folder, and of other computers whose runs are in the ledger. The tables are those of the
sink in use.
"""
DEFAULT = Path("materia-report.html")
MOST_RUNS = 500


def report(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to write.")] = DEFAULT,
    *,
    config: Config = None,
    json: Json = False,
) -> None:
    """Write an HTML page of runs, costs and tables."""
    from materia.errors import ConfigError, SinkError
    from materia.kit.files import write_whole

    from materia_runner.cli.output.text import many, size

    if not file.absolute().parent.is_dir():
        raise ConfigError(f"{file.absolute().parent}: no such folder; create it first")
    if file.is_dir():
        raise ConfigError(f"{file}: is a folder; give the name of a file")
    text, counts = _made(load_registry(context), config)
    try:
        write_whole(file.absolute(), text)
    except OSError as error:
        raise SinkError(f"{file}: cannot be written: {error.strerror or error}") from error
    length = len(text.encode())
    if json:
        echo(to_json({"file": str(file.absolute()), "bytes": length, **counts}))
        return
    runs, tables = many(counts["runs"], "run"), many(counts["tables"], "table")
    queries = f"{counts['queries']:,} queries" if counts["queries"] != 1 else "1 query"
    echo(f"{file}: {size(length)} written, with {runs}, {tables} and {queries}")


def _made(registry: Registry, config: Path | None) -> tuple[str, dict[str, int]]:
    """The text of the page, and what is in it."""
    from datetime import UTC, datetime
    from importlib.metadata import version

    from materia_runner.cli.output.report.page import Report, page
    from materia_runner.cli.output.runs.show import show_values
    from materia_runner.cli.output.runs.table import cost_values, list_values

    pipeline = load_pipeline(registry, config)
    now = datetime.now(UTC)
    known, catalog, answers = _data(registry, pipeline)
    with _ledger() as (state, ledger):
        everything = ledger.runs() if ledger else ()
        published = catalog.run if catalog else ""
        rows = [row for row in everything if _belongs(row, pipeline, published)]
        costs = _costs(ledger, {row.run for row in rows}, now) if ledger else ()
        shown = rows[:MOST_RUNS]
        details = (show_values(row, state, ledger, now) for row in shown if ledger is not None)
        text = page(
            Report(
                made_at=now,
                version=version("materia-runner"),
                source=", ".join(pipeline.sources),
                sink=pipeline.sink,
                folder=pipeline.directory.absolute().name,
                runs=list_values(shown, state, ledger, now) if ledger else (),
                details=details,
                older_runs=len(rows) - len(shown),
                other_runs=len(everything) - len(rows),
                costs=cost_values(costs, None),
                catalog=catalog,
                findings=_findings(ledger, catalog),
                known=known,
                answers=answers,
            )
        )
    tables = 0 if catalog is None else len(catalog.tables)
    return text, {"runs": len(rows), "tables": tables, "queries": len(answers)}


def _costs(ledger: Ledger, runs: Collection[str], now: datetime) -> tuple[CostRow, ...]:
    from materia_runner.ledger.costs import costs_of

    machines = [one for one in ledger.machines() if one.run in runs]
    stages = (one for run in {one.run for one in machines} for one in ledger.stages(run))
    return costs_of(machines, stages, now)


def _belongs(row: RunRow, pipeline: Pipeline, published: str) -> bool:
    """Whether a run is one of this pipeline: it published its tables, or it is like its own runs.

    Runs of other computers are in the ledger because they share a bucket; their folder is another.
    """
    import socket

    if row.run == published:
        return True
    sources = {name.strip() for name in row.source.split(",")} - {""}
    return (
        row.sink in ("", pipeline.sink)
        and (not sources or not sources.isdisjoint(pipeline.sources))
        and (
            row.directory == str(pipeline.directory.absolute()) or row.host != socket.gethostname()
        )
    )


def _data(
    registry: Registry, pipeline: Pipeline
) -> tuple[Mapping[str, Known], Catalog | None, tuple[Answer, ...]]:
    """The partitions in the sink, what is published there, and answers to the report queries."""
    import duckdb
    from materia.errors import SinkError

    from materia_runner.opening import open_plugin
    from materia_runner.tables.catalog import read_catalog
    from materia_runner.tables.database import opened
    from materia_runner.tables.report_queries import answered, report_queries

    plugins, sink = (
        [registry.source(name) for name in pipeline.sources],
        registry.sink(pipeline.sink),
    )
    environment = load_environment(registry, pipeline, using=[*plugins, sink])
    opened_sink = open_plugin(
        sink,
        environment,
        settings=pipeline.settings["sink", pipeline.sink],
        directory=pipeline.directory,
    )
    models = [one.models() for one in open_sources(registry, pipeline, environment).values()]
    known = {
        key if len(pipeline.sources) == 1 else f"{key} of {name}": one
        for name in pipeline.sources
        for key, one in (opened_sink.known(name) or opened_sink.known(f"{name}-sample")).items()
    }
    database = opened_sink.published()
    if database is None:
        return known, None, ()
    queries = report_queries(one for one in (pipeline.project, *models) if one is not None)
    with opened(database) as connection:
        try:
            catalog = read_catalog(connection)
        except duckdb.Error as error:
            raise SinkError(f"{database}: its tables cannot be listed: {error}") from error
        return known, catalog, tuple(answered(connection, one) for one in queries)


def _findings(ledger: Ledger | None, catalog: Catalog | None) -> Findings | None:
    """What the run that published the tables reported, when it is in the ledger."""
    from materia_runner.cli.output.report.tables import Findings

    if ledger is None or catalog is None or not ledger.knows(catalog.run):
        return None
    results: list[Mapping[str, Any]] = [
        one.result for one in ledger.stages(catalog.run) if one.result and "audits" in one.result
    ]
    if not results:
        return None
    return Findings(audits=results[-1]["audits"], warnings=tuple(results[-1].get("warnings") or ()))


@contextmanager
def _ledger() -> Iterator[tuple[Any, Ledger | None]]:
    """The state, and the ledger when it exists; nothing is created."""
    import os

    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State

    state = State(state_folder(os.environ))
    if not state.ledger_file.exists():
        yield state, None
        return
    with state.ledger() as ledger:
        yield state, ledger


app = command_app("report", report, epilog=EPILOG)
