"""Emulator of Hetzner Cloud's API: a server with state, a bill and injected faults."""
