"""What providers share: labels, polling, teardown, cloud-init, checked answers."""
