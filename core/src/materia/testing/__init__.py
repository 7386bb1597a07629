"""Contract suites and a cloud to run them on, for the bundled plugins and anybody's."""
