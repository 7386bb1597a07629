"""Contract suites: each promise of a plugin is a test."""
