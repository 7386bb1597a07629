"""The `oracle` provider."""
