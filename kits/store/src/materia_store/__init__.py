"""Helpers for sink plugins: atomic write, file lock, S3 client, DuckDB files, known partitions."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = [
    "atomic_files",
    "connection",
    "file_lock",
    "known_partitions",
    "object_listing",
    "object_store",
    "object_store_errors",
    "publication",
    "views",
]
