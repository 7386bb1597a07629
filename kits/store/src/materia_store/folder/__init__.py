"""Sink in a folder: raw files, working copy with a lock, and publications with an atomic swap."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = [
    "raw_files",
    "sink",
    "working_copy",
]
