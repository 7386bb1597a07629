"""SSH to rented machines: connect, copy files, run commands that survive a broken connection."""
