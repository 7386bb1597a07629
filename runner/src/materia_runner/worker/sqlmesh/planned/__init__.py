"""Plan changed models without building them: what SQLMesh would rebuild in a published database."""
