"""DuckDB settings of a database that SQLMesh builds, without importing SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping

# SQLMesh writes the catalog into names and into its state, and DuckDB names the catalog after the
# file. With one fixed alias, a renamed or copied database is the same to SQLMesh.
CATALOG = "materia"


def connector_settings(path: str) -> Mapping[str, str]:
    """The settings for the database at *path*, where DuckDB may also spill to disk."""
    return {
        # With Python's own memory a transform stays near 1 GB; DuckDB spills the rest to disk.
        "memory_limit": "700MB",
        # ORDER BY still holds; keeping the insertion order otherwise costs memory.
        "preserve_insertion_order": "false",
        # The default for a database in memory would spill to `.tmp` in the current folder.
        "temp_directory": f"{path}.tmp",
    }
