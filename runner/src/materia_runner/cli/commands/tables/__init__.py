"""Commands that read published tables."""
