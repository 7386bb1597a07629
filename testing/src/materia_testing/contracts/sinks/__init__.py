"""The promises that `SinkContract` is made of."""
