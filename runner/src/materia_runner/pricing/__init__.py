"""Prices: ask providers for offers, compute their costs, rank and cache them."""
