"""Worker artifact: the bundle of code and dependencies that a worker runs; build, cache, upload."""
