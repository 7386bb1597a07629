"""The `scaleway` provider."""
