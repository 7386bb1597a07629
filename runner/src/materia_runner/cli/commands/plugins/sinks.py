"""`materia sinks`: list installed sinks, their settings, and the data in the one in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from materia_runner.cli.context import load_environment, load_pipeline, load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from materia.data import Known
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline

EPILOG = """\
\b
Only the sink in use is opened, and only to read. The key `sink` in materia.toml selects
it; its settings are keys of its own table there. `materia init` writes them all out.
"""


def sinks(context: typer.Context, *, config: Config = None, json: Json = False) -> None:
    """List the sinks, with the contents of the one in use."""
    from materia_runner.cli.output.plugin_details import as_text, described

    registry = load_registry(context)
    pipeline = load_pipeline(registry, config)
    found: list[dict[str, Any]] = [described(one, pipeline) for one in registry.of_kind("sink")]
    for one in found:
        one["holds"] = _holds(registry, pipeline) if one["in_use"] else None
    if json:
        echo(to_json(found))
        return
    texts = [
        "\n".join([*as_text(one), *(_holdings(one["holds"]) if one["holds"] else [])])
        for one in found
    ]
    echo("\n\n".join(texts) if texts else "no sinks are installed")


def _holds(registry: Registry, pipeline: Pipeline) -> dict[str, Any]:
    """Contents of the sink in use: partitions of the sources and samples, published tables."""
    from materia_runner.opening import open_plugin
    from materia_runner.tables.counts import tables_in

    found = registry.sink(pipeline.sink)
    sink = open_plugin(
        found,
        load_environment(registry, pipeline, using=[found]),
        settings=pipeline.settings["sink", pipeline.sink],
        directory=pipeline.directory,
    )
    database = sink.published()
    return {
        "sources": {
            name: _counts(known)
            for source in pipeline.sources
            for name in (source, f"{source}-sample")
            if (known := sink.known(name))
        },
        "database": None if database is None else str(database),
        "tables": {} if database is None else tables_in(database),
    }


def _counts(known: Mapping[str, Known]) -> dict[str, object]:
    in_use = sorted(key for key, one in known.items() if one.raw is not None)
    return {
        "partitions": len(in_use),
        "newest": in_use[-1] if in_use else None,
        "bytes": sum(one.raw.size for one in known.values() if one.raw is not None),
        "absent": sum(one.absent for one in known.values()),
        "quarantined": sorted(key for key, one in known.items() if one.refused is not None),
        "denied": sorted(key for key, one in known.items() if one.denied),
    }


def _holdings(holds: Mapping[str, Any]) -> list[str]:
    from materia_runner.cli.output.text import many, size

    lines = []
    for name, counts in holds["sources"].items():
        newest = f", newest {counts['newest']}" if counts["newest"] else ""
        lines.append(
            f"  holds {many(counts['partitions'], 'partition')} of {name}{newest}, "
            f"{size(counts['bytes'])}"
        )
        if counts["quarantined"]:
            lines.append(f"    in quarantine: {', '.join(counts['quarantined'])}")
        if counts["denied"]:
            lines.append(f"    kept, though the source denies it: {', '.join(counts['denied'])}")
    if holds["database"] is None:
        return [*lines, "  nothing is published yet; run `materia run`"]
    lines.append(f"  published in {holds['database']}")
    for name, rows in holds["tables"].items():
        counted = "cannot be counted" if rows is None else many(rows, "row")
        lines.append(f"    {name}  {counted}")
    return lines


app = command_app("sinks", sinks, epilog=EPILOG)
