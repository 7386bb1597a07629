"""The promises that `ProviderContract` is made of."""
