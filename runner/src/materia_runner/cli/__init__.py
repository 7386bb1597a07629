"""The command line: the tree of commands, the options they share, the exit codes."""
