"""Provider over a JSON API: an HTTP client with materia's errors, and the five methods on top."""

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = [
    "client",
    "machines",
]
