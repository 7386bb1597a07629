"""What sinks share: known partitions, locks, atomic files, a DuckDB file that says what it is."""
