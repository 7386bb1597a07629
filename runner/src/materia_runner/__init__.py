"""The command `materia`: one run from its configuration to machines that are gone again."""
