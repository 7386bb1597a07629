"""Prices: ask for offers, compute their costs, rank and cache them."""
