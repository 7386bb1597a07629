"""Helpers for provider plugins: labels, polling, retry, teardown, cloud-init, API errors."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = [
    "api_errors",
    "clock",
    "cloud_init",
    "connection_errors",
    "labels",
    "list_entries",
    "local_process",
    "polling",
    "settings",
    "teardown",
]
