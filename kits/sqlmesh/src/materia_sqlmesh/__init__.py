"""The SQLMesh configuration of a pipeline: what the config.py of a project imports."""
