"""The same pipeline on the small data that comes with its source."""

from __future__ import annotations

from dataclasses import replace

from materia.errors import ConfigError
from materia.plugins import Registry

from materia_runner.config.pipeline import Pipeline


def sampled(pipeline: Pipeline, registry: Registry) -> Pipeline:
    """The pipeline with its source reading its sample.

    Raises:
        ConfigError: the source brings none.
        PluginError: the source is not installed.
    """
    plugin = registry.source(pipeline.source).plugin
    if plugin.sample is None:
        raise ConfigError(f"the source {plugin.name!r} brings no sample; run without --sample")
    key = ("source", plugin.name)
    settings = {**pipeline.settings, key: {**pipeline.settings[key], **plugin.sample}}
    return replace(pipeline, settings=settings, sample=True)
