"""What sinks share: known partitions, locks, atomic files, a DuckDB file that says what it is."""

# The modules that plugins may use, each with its own list; anything else may change.
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
