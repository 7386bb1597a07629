"""HTTP client with checked proxies and certificates; conditional, resumed, verified downloads."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = ["client", "download", "environment", "mirror_folder", "verified"]
