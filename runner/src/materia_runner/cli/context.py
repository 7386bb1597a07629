"""Load the plugin registry, the pipeline and the secrets that a command works on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from materia_runner.cli.echo import Whole, echo

if TYPE_CHECKING:
    from materia.plugins import InstalledPlugin, Registry
    from materia.protocols import Source

    from materia_runner.config.load import Reading
    from materia_runner.config.pipeline import Pipeline


def load_registry(context: typer.Context) -> Registry:
    """All plugins, or the bundled ones under --no-plugins."""
    import os

    from materia._entry_points import PROJECTS
    from materia.kit.user_folders import user_cache
    from materia.plugins import GROUP

    from materia_runner import bundled
    from materia_runner.installed import installed_entry_points

    points = installed_entry_points(GROUP, PROJECTS, folder=user_cache(os.environ))
    return bundled.load_registry(points, bundled_only=bundled_only(context))


def bundled_only(context: typer.Context) -> bool:
    """Whether --no-plugins was given."""
    return bool(context.find_root().params.get("no_plugins"))


def load_pipeline(
    registry: Registry,
    config: Path | None,
    *,
    provider: str | None = None,
    max_cost: Decimal | None = None,
    only: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> Pipeline:
    """The pipeline of *config* or the nearest materia.toml.

    *provider* (`auto` or names) and *max_cost* (in the configured currency) override the file.
    *only* are the sources to fetch, when not all; *drop* those whose tables go.

    Raises:
        ConfigError: the file has mistakes, or one of *only* is not a source of the pipeline.
    """
    from dataclasses import replace

    from materia_runner.config.parse import parse_providers, refuse
    from materia_runner.config.pipeline import narrowed

    reading = read_pipeline(registry, config)
    refuse(reading.mistakes)
    pipeline = reading.pipeline
    if provider is not None:
        pipeline = replace(pipeline, providers=parse_providers([provider], registry))
    if max_cost is not None:
        from materia.compute import Money

        cap = Money(max_cost, pipeline.exchange.configured)
        pipeline = replace(pipeline, budget=replace(pipeline.budget, max_cost=cap))
    return narrowed(replace(pipeline, drop=tuple(drop)), only)


def read_pipeline(registry: Registry, config: Path | None) -> Reading:
    """Read *config* or the nearest materia.toml, with every mistake in it."""
    import os

    from materia.errors import ConfigError

    from materia_runner.config.load import PROVIDER_SETTINGS, read_config

    try:
        start = Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the current folder was deleted; change to another folder") from error
    given = os.environ.get(PROVIDER_SETTINGS, "")
    settings = Path(given) if given else None
    return read_config(registry, path=config, start=start, provider_settings=settings)


def load_environment(
    registry: Registry,
    pipeline: Pipeline,
    using: Iterable[InstalledPlugin[Any]] | None = None,
    *,
    bucket: bool = False,
) -> Mapping[str, str]:
    """The environment with the secrets that plugins in use declare, from every place of secrets.

    Commands that open plugins use this instead of `os.environ`. Warns on standard error of a place
    that cannot be read.

    Args:
        registry: All plugins.
        pipeline: Names the plugins in use, and where secrets are kept.
        using: Look up the secrets of these plugins only.
        bucket: Also look up those of the bucket of artifacts, if any, when *using* is given.
    """
    import os

    from materia_runner.cli.redact_output import know
    from materia_runner.config.secret_needs import needs_of
    from materia_runner.secrets.redaction import all_to_hide
    from materia_runner.secrets.resolve import resolve

    if using is None:
        needs = needs_of(registry, pipeline)
        names = [name for need in needs if need.in_use for name in need.names]
    else:
        names = [name for one in using for name in one.plugin.secrets]
        names += pipeline.artifacts.keys if bucket and pipeline.artifacts else ()
    found = resolve(os.environ, names=names, dotenv=pipeline.directory / ".env", esc=pipeline.esc)
    know(all_to_hide(found.values, registry))
    for problem in found.problems:
        _warn(problem)
    return found.values


@cache
def _warn(problem: str) -> None:
    """Once: a command may look up secrets several times, each for something else."""
    echo(f"warning: {problem}", err=True)


def open_sources(
    registry: Registry, pipeline: Pipeline, environment: Mapping[str, str]
) -> dict[str, Source]:
    """Open the sources of the pipeline, by name."""
    from materia.plugins import open_plugin

    return {
        name: open_plugin(
            registry.source(name),
            environment,
            settings=pipeline.settings["source", name],
            directory=pipeline.directory,
        )
        for name in pipeline.sources
    }


@contextmanager
def file_named(pipeline: Pipeline) -> Iterator[None]:
    """Add the path of materia.toml to a plugin's error about its settings.

    An error about the state folder names the variable to set, which is not in that file.
    """
    from materia.errors import ConfigError

    from materia_runner.folders import STATE_VARIABLE

    try:
        yield
    except ConfigError as error:
        text = str(error)
        if pipeline.file is None or str(pipeline.file) in text or STATE_VARIABLE in text:
            raise
        raise ConfigError(*(f"{pipeline.file}: {one}" for one in error.args)) from error


def refuse_question_mark(pipeline: Pipeline) -> None:
    """Refuse a folder with `?` in its path, before a fetch: DuckDB parses the rest as parameters.

    Raises:
        ConfigError: the path of the pipeline's folder contains `?`.
    """
    from materia.errors import ConfigError

    if "?" in str(pipeline.directory):
        raise ConfigError(
            f"{pipeline.directory}: DuckDB cannot use a path with a question mark (?); rename the "
            "folder, or use another one"
        )


def warn_of_failures(registry: Registry) -> None:
    """Print a warning for each plugin that could not be loaded."""
    for failure in registry.failures:
        echo(
            f"warning: the plugin {failure.name!r} of {failure.distribution} is left out: "
            f"{failure.error}",
            err=True,
        )


def to_json(value: Any) -> Whole:
    """*value* as JSON: dates and decimals as text."""
    import json

    return Whole(json.dumps(value, indent=2, default=str).replace("\x7f", "\\u007f"))
