"""The `psdonline` source: USDA PSD Online, every monthly release."""
