"""The ledger: records of runs, machines and costs in one SQLite file."""
