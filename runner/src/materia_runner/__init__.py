"""The command `materia`: plan, rent, run, publish and destroy, for one pipeline."""
