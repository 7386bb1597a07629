"""HTTP clients that check proxies and certificates before the first request."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = ["client", "environment"]
