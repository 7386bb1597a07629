"""What two plugins or more share, from the standard library alone."""

# The modules that plugins may use, each with its own list; anything else may change.
__all__ = [
    "files",
    "http_dates",
    "local_process",
    "once",
    "sql",
    "text",
    "user_folders",
    "validators",
]
