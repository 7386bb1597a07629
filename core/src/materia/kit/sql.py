"""SQL literals, and settings that lock DuckDB down to open an untrusted database.

DuckDB takes parameters too, but at the first statement with a parameter its Python client imports
NumPy and pandas, where they are installed: half a second (seen with DuckDB 1.5.6, 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

__all__ = ["LOCKED", "literal"]

# An instance of DuckDB with these settings reads no file, opens no address and loads no extension,
# whatever a view in the database says; the last setting makes the others final.
LOCKED: Mapping[str, str] = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "enable_external_access": "false",
    "lock_configuration": "true",
}


def literal(value: str | int | date | datetime | None) -> str:
    """*value* as an SQL literal; a time must have no time zone."""
    match value:
        case None:
            return "NULL"
        case datetime():
            return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
        case date():
            return f"DATE '{value}'"
        case int():
            return str(value)
        case str():
            # A NUL ends a statement; it is the one character that a quoted text cannot hold.
            return " || chr(0) || ".join(
                f"'{part.replace(chr(39), chr(39) * 2)}'" for part in value.split("\0")
            )
