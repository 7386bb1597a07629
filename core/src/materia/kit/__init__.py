"""What two plugins or more share, from the standard library alone."""
