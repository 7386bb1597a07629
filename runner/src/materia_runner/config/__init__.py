"""Configuration: read and check materia.toml, and turn it into a pipeline."""
