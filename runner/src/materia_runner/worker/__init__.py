"""Worker: run the stages extract and transform (with SQLMesh) on the machine of a stage."""
