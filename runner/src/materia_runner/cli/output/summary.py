"""Summary of a run: its stages, published tables, and a command to query them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from materia.forms import TABLE_NAME
from materia.text import together

from materia_runner.cli.output.text import many, size, table, terminal_columns
from materia_runner.figures import elapsed_text
from materia_runner.messages.partition_problems import Problem
from materia_runner.run.report import RunReport, StageReport
from materia_runner.tables.counts import LAYERS

# Prefixes of table names: one big table, facts, aggregates, dimensions.
WIDEST_FIRST = ("obt", "fct", "agg", "dim")
WIDTH = 72
TENTH = timedelta(seconds=0.1)


def problems_of(report: RunReport) -> list[Problem]:
    """Problems with single partitions, of all stages."""
    values: list[dict[str, Any]] = []
    for stage in report.stages:
        values += _result(stage).get("problems", [])
    return [Problem(**value) for value in values]


def summary(report: RunReport, *, here: Path, python: str) -> str:
    """A line for each stage, the tables, and a command that shows one."""
    lines = [
        line
        for stage in report.stages
        for line in (
            f"{stage.stage:<9}  {_stage_line(stage)}, {elapsed_text(stage.seconds, to=TENTH)}",
            *_more_lines(stage),
        )
    ]
    for stage in report.stages:
        result = _result(stage)
        if result.get("tables"):
            lines += ["", *_published(result, sample=report.sample, here=here, python=python)]
    return "\n".join(lines)


def look_command(database: str, table_name: str, *, here: Path, python: str) -> str:
    """A command that prints the first rows of a table, quoted for a shell and for SQL."""
    path = Path(database)
    shown = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    code = (
        f"import duckdb; duckdb.connect({_python_text(shown)}, read_only=True)"
        f".sql({_python_text(f'from {_identifier(table_name)} limit 10')}).show()"
    )
    return f"{python} -c {shlex.quote(code)}"


def _python_text(text: str) -> str:
    """*text* as a Python literal, in double quotes where possible, for a shell's single quotes."""
    written = json.dumps(text, ensure_ascii=False)
    return written if text.isprintable() else ascii(text)


def _identifier(table_name: str) -> str:
    """The name of a table as an SQL identifier, quoted when it is not a plain name."""
    if TABLE_NAME.fits(table_name) and table_name.replace(".", "").isidentifier():
        return table_name
    parts = table_name.split(".", 1)
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _result(stage: StageReport) -> Mapping[str, Any]:
    return stage.result


def _more_lines(stage: StageReport) -> list[str]:
    """A line for each of several sources, and for each other pipeline in the same database."""
    result = _result(stage)
    return [
        *(f"{'':<9}    {one['source']}: {_asked(one)}" for one in result.get("sources", [])),
        *(
            f"{'':<9}    left as they are: the tables of {together(one['sources'])}, which the "
            f"pipeline {one['pipeline']} publishes"
            for one in result.get("others", [])
        ),
    ]


def _asked(result: Mapping[str, Any]) -> str:
    counts = [
        f"{result[word]:,} {word}"
        for word in ("fetched", "unchanged", "absent", "denied", "refused", "failed")
        if result[word]
    ]
    asked = many(result["asked"], "partition")
    return f"{asked} requested: {', '.join(counts) or 'nothing to do'}"


def _stage_line(stage: StageReport) -> str:
    result = _result(stage)
    if stage.stage == "extract":
        received = f", {size(result['bytes'])}" if result["bytes"] else ""
        return f"{_asked(result)}{received}"
    if not result["published"]:
        return f"nothing new in {many(result['files'], 'file')}; the tables are up to date"
    tests = result["tests_skipped"] or many(result["tests"], "test")
    built = ", ".join([many(result["models"], "model"), many(result["audits"], "audit"), tests])
    loaded = many(len(result["loaded"]), "partition")
    return f"{loaded} loaded, {built}, {many(len(result['tables']), 'table')} published"


def _published(result: Mapping[str, Any], *, sample: bool, here: Path, python: str) -> list[str]:
    tables = sorted(result["tables"], key=_order)
    rows = [
        (one["name"], f"{one['rows']:>11,}", first_sentence(one["description"])) for one in tables
    ]
    lines = [table(rows, head=("table", f"{'rows':>11}", "what it is"))]
    # A rented machine that published to a bucket had its database in a folder that is gone.
    if result["database"] and Path(str(result["database"])).exists():
        looked_at = look_command(result["database"], tables[0]["name"], here=here, python=python)
        lines += ["", "Look at it:", f"  {looked_at}"]
    if sample:
        lines += ["", "This was sample data. A run without --sample replaces it with real data."]
    return lines


def _order(published: Mapping[str, Any]) -> tuple[int, int, str]:
    """Sort key: the serving layer first, and its widest tables first."""
    layer, _, name = published["name"].partition(".")
    kind = name.partition("_")[0]
    return (
        -LAYERS.index(layer) if layer in LAYERS else 1,
        WIDEST_FIRST.index(kind) if kind in WIDEST_FIRST else len(WIDEST_FIRST),
        name,
    )


def first_sentence(text: str) -> str:
    """The first sentence of *text*; outside a terminal, which wraps it, cut at a word."""
    import textwrap

    sentence = text.partition(". ")[0].partition(": ")[0].strip().removesuffix(".")
    if terminal_columns() is not None:
        return sentence
    return textwrap.shorten(sentence, WIDTH, placeholder=" ...")
