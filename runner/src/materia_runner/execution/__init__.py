"""Run a stage on this machine or on a rented one, and follow its events."""
