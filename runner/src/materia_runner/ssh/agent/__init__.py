"""Agent: programs sent to a rented machine that run a command and copy files, without packages."""
