"""Machines: providers and their prices, single workers, the sweep, the emulator."""
