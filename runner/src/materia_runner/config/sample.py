"""Sample mode: run the pipeline on the sample data bundled with its source."""

from __future__ import annotations

from dataclasses import replace

from materia.errors import ConfigError
from materia.plugins import Registry

from materia_runner.config.pipeline import Pipeline


def sampled(pipeline: Pipeline, registry: Registry) -> Pipeline:
    """The pipeline with its sources set to their sample data.

    Raises:
        ConfigError: a source has no sample.
        PluginError: a source is not installed.
    """
    settings = dict(pipeline.settings)
    for name in pipeline.sources:
        sample = registry.source(name).plugin.sample
        if sample is None:
            raise ConfigError(f"the source {name!r} has no sample; run without --sample")
        if f"{name}-sample" in pipeline.sources:
            raise ConfigError(
                f"the sink would keep the sample of {name!r} under the name of another source, "
                f"{name}-sample; run without --sample"
            )
        settings["source", name] = {**settings["source", name], **sample}
    return replace(pipeline, settings=settings, sample=True)
