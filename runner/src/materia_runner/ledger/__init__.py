"""The ledger: what was run, rented and paid, in one SQLite file."""
