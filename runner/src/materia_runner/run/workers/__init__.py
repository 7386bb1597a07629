"""Attempts at the stages of a run: one machine at a time, or several workers side by side."""
