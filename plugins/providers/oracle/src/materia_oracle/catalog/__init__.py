"""Oracle's price list, processors and shapes."""
