"""Start a stage on this machine or a rented one, and follow it."""
