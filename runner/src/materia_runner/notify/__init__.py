"""Notifications: a webhook that hears when a run or a sweep starts, succeeds or fails."""
