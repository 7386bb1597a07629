"""The commands: one folder for each part of the tree that `materia --help` shows."""
