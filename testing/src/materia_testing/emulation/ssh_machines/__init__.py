"""Machines behind emulated instances: SSH servers with real processes."""
