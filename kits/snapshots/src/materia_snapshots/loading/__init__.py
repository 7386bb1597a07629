"""Load checked files into tables: rows with types, slices or releases, history, SQLMesh models."""
