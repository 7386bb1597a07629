"""materia.toml: read it, check it, and make a pipeline of it."""
