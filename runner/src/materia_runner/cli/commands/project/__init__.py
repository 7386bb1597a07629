"""Set up a project: its materia.toml."""
