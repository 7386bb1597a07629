"""HTTP client with checked proxies and certificates; conditional, resumed, verified downloads."""

import sys

# httpx also has a command, whose imports (click, rich) take longer than the rest of it: 0.15 s of
# 0.24. With None in sys.modules Python cannot import that module, and httpx works without it. Here
# it is before every import of httpx in this package.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

# The modules that plugins may use, each with its own __all__; anything else may change.
__all__ = ["client", "download", "environment", "mirror_folder", "verified"]
