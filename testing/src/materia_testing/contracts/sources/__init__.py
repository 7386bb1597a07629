"""The parts of `SourceContract`."""
