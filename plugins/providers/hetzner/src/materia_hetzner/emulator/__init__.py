"""Hetzner Cloud's API, emulated: a server that keeps state, a bill and faults to come."""
