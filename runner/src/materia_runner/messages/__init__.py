"""Messages between the runner and a worker: requests, events and results, checked when decoded."""
