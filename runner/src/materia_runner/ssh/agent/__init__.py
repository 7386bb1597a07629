"""The agent: sent to a rented machine, it keeps a command alive there. Standard library only."""
