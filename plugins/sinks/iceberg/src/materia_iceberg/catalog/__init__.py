"""Iceberg REST catalog: client, errors and table metadata."""
