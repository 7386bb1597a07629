"""What runs on the machine of a stage: extract, and transform with SQLMesh."""
