"""The SQLMesh configuration of a pipeline: what the config.py of a project imports."""

# The modules that plugins may use, each with its own list; anything else may change.
__all__ = ["project"]
