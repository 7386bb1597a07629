"""Artifacts: the bundle of code and dependencies that a worker runs."""
