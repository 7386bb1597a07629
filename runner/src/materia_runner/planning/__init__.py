"""The plan: which offer for which stages, and whether the caps allow it."""
