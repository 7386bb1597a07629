"""Emulator of Oracle Cloud's API: a server with state, a bill and injected faults."""
