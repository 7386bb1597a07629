"""The `ovh` provider."""
