"""SSH to rented machines: connect, copy files, run commands that outlive a broken line."""
