"""One run, start to end: stages, placement, recording."""
