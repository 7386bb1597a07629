"""The command line (CLI): the tree of commands, shared options, exit codes."""
