"""SQLMesh configuration for the config.py of a project that materia runs."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = ["project"]
