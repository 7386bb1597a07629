"""Test tools for plugin authors: contract test suites and the engine of emulated clouds."""
