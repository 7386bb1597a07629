"""Emulator of Scaleway's API: a server with state, a bill and injected faults."""
