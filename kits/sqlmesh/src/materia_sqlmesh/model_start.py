"""First day that incremental models have rows of, where a model names no `start` of its own."""

from __future__ import annotations

from datetime import date

# Earlier than the history of nearly all public data. SQLMesh counts the days from here on at each
# build: since 1900 they cost no time that can be measured, since the year 1 ten seconds.
START = date(1900, 1, 1)
