"""Run pipelines, and look at what was run."""
