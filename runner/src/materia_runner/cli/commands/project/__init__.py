"""Set up a project: write its materia.toml."""
