"""The promises that `SourceContract` is made of."""
