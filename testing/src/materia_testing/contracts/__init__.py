"""Contract test suites for plugins: one test for each promise."""
