"""Instances: rent them, fail over, destroy them, sweep what was left behind."""
