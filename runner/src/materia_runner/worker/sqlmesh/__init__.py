"""SQLMesh: build, test and audit the models of a project, and guard its state."""
