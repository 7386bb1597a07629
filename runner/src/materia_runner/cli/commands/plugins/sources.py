"""`materia sources`: where data can come from."""

from __future__ import annotations

import typer

from materia_runner.cli.context import load_pipeline, load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app
from materia_runner.cli.options import Config, Json

EPILOG = """\
\b
The settings of a source are keys of its table in materia.toml; `materia init` writes
them all out. The source in use is the key `source`.
"""


def sources(context: typer.Context, *, config: Config = None, json: Json = False) -> None:
    """List the sources, with their settings as they are now."""
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
            lines.append("  brings a sample: materia run --sample")
        texts.append("\n".join(lines))
    echo("\n\n".join(texts) if texts else "no sources are installed")


app = command_app("sources", sources, epilog=EPILOG)
