"""Oracle's prices, processors and shapes."""
