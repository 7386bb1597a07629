"""HTTP clients that check proxies and certificates before the first request."""
