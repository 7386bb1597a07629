"""Secrets: resolve them from the environment, .env or Pulumi ESC, and redact them from messages."""
