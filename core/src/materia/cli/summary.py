"""What a run did, for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from materia.cli.words import many, size, table
from materia.model import RunReport, StageReport
from materia.problems import Problem


def problems_of(report: RunReport) -> list[Problem]:
    """What went wrong with single partitions, in all stages."""
    values: list[dict[str, Any]] = []
    for stage in report.stages:
        values += _result(stage).get("problems", [])
    return [Problem(**value) for value in values]


def summary(report: RunReport, *, here: Path, python: str) -> str:
    """A line for each stage, then the tables, then how to look at them."""
    lines = [
        f"{stage.stage:<9}  {_stage_line(stage)}, {stage.seconds:.1f} s" for stage in report.stages
    ]
    for stage in report.stages:
        result = _result(stage)
        if result.get("tables"):
            lines += ["", *_published(result, sample=report.sample, here=here, python=python)]
    return "\n".join(lines)


def look_command(database: str, table_name: str, *, here: Path, python: str) -> str:
    """A command that prints the first rows of a table."""
    path = Path(database)
    shown = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    code = (
        f"import duckdb; duckdb.connect({shown!r}, read_only=True)"
        f".sql('from {table_name} limit 10').show()"
    )
    return f'{python} -c "{code}"'


def _result(stage: StageReport) -> Mapping[str, Any]:
    return stage.result


def _stage_line(stage: StageReport) -> str:
    result = _result(stage)
    if stage.stage == "extract":
        counts = [
            f"{result[word]:,} {word}"
            for word in ("fetched", "unchanged", "absent", "refused", "failed")
            if result[word]
        ]
        asked = many(result["asked"], "partition")
        received = f", {size(result['bytes'])}" if result["bytes"] else ""
        return f"{asked} asked for: {', '.join(counts) or 'nothing to do'}{received}"
    if not result["published"]:
        return f"nothing new in {many(result['files'], 'file')}, the tables are up to date"
    built = ", ".join(
        many(result[word], word.removesuffix("s")) for word in ("models", "audits", "tests")
    )
    loaded = many(len(result["loaded"]), "partition")
    return f"{loaded} loaded, {built}, {many(len(result['tables']), 'table')} published"


def _published(result: Mapping[str, Any], *, sample: bool, here: Path, python: str) -> list[str]:
    tables = result["tables"]
    rows = [(one["name"], f"{one['rows']:>11,}", one["description"]) for one in tables]
    lines = [table(rows, head=("table", f"{'rows':>11}", "what it is"))]
    if result["database"]:
        serving = [one["name"] for one in tables if one["name"].startswith("serving.")]
        first = (serving or [tables[0]["name"]])[0]
        lines += [
            "",
            "Look at it:",
            f"  {look_command(result['database'], first, here=here, python=python)}",
        ]
    if sample:
        lines += ["", "This was the sample. `materia run` fetches the real data in its place."]
    return lines
