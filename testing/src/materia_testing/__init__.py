"""For plugin authors: contract suites, and the engine of emulated clouds."""
