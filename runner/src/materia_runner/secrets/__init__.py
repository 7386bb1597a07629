"""Secrets: where they come from, and how they are redacted from every message."""
