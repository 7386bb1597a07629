"""A bucket as a sink's store: raw files, known partitions, and a DuckDB file nobody changes."""
