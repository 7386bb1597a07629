"""The parts of `ProviderContract`."""
