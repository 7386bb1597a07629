"""The parts of `SinkContract`."""
