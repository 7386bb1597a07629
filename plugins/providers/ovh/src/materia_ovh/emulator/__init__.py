"""Emulator of OVHcloud's API: a server with state, a bill and injected faults."""
