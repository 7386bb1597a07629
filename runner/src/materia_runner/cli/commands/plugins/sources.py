"""`materia sources`: list installed sources with their settings."""

from __future__ import annotations

import typer

from materia_runner.cli.context import load_pipeline, load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app
from materia_runner.cli.options import Config, Json

EPILOG = """\
\b
The key `source` in materia.toml selects the source in use. The settings of a source are
keys of its own table there; `materia init` writes them all out.
"""


def sources(context: typer.Context, *, config: Config = None, json: Json = False) -> None:
    """List the sources, with their current settings."""
    from materia_runner.cli.output.plugin_details import as_text, described

    registry = load_registry(context)
    pipeline = load_pipeline(registry, config)
    found = [
        {**described(one, pipeline), "sample": one.plugin.sample is not None}
        for one in registry.of_kind("source")
    ]
    if json:
        echo(to_json(found))
        return
    texts = []
    for one in found:
        lines = as_text(one)
        if one["sample"]:
            lines.append("  has a sample: `materia run --sample`")
        texts.append("\n".join(lines))
    echo("\n\n".join(texts) if texts else "no sources are installed")


app = command_app("sources", sources, epilog=EPILOG)
