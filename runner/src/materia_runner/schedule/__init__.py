"""Schedule: timers that start runs and sweeps, and the status that shows when one is missing."""
