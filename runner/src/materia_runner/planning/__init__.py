"""Plan a run: which offer for which stages, and whether it fits the budget."""
