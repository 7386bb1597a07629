"""Sample mode: run the pipeline on the sample data bundled with its source."""

from __future__ import annotations

from dataclasses import replace

from materia.errors import ConfigError
from materia.plugins import Registry

from materia_runner.config.pipeline import Pipeline


def sampled(pipeline: Pipeline, registry: Registry) -> Pipeline:
    """The pipeline with its source set to its sample data.

    Raises:
        ConfigError: the source has no sample.
        PluginError: the source is not installed.
    """
    plugin = registry.source(pipeline.source).plugin
    if plugin.sample is None:
        raise ConfigError(f"the source {plugin.name!r} has no sample; run without --sample")
    key = ("source", plugin.name)
    settings = {**pipeline.settings, key: {**pipeline.settings[key], **plugin.sample}}
    return replace(pipeline, settings=settings, sample=True)
