"""Build the models of a SQLMesh project."""
