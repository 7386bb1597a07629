"""The `duckdb` sink: one local DuckDB file."""
