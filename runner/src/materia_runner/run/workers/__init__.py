"""Several workers of one run at the same time, each with a thread and a machine of its own."""
