"""The REST catalog: its client, what goes wrong with it, and what it says of a table."""
