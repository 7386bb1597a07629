"""Channel: the release that a pipeline's workers run, named by a pointer in the bucket."""
