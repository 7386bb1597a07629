"""Sink in an S3 bucket: raw files, known partitions, and a DuckDB file with atomic publish."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = [
    "address",
    "cache",
    "database",
    "objects",
    "pointer",
    "raw_files",
    "sink",
]
