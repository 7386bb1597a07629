"""Helpers for plugins, with the standard library alone: files, HTTP dates, SQL text, validators."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = [
    "files",
    "http_dates",
    "mistakes",
    "once",
    "sql",
    "text",
    "user_folders",
    "validators",
]
