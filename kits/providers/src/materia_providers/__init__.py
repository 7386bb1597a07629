"""What providers share: labels, polling, teardown, cloud-init, checked answers."""

# The modules that plugins may use, each with its own list; anything else may change.
__all__ = [
    "api_errors",
    "clock",
    "cloud_init",
    "connection_errors",
    "labels",
    "list_entries",
    "polling",
    "settings",
    "teardown",
]
