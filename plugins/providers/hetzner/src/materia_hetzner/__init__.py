"""The `hetzner` provider."""
