"""Read published tables: run a query, export a table to a file."""
