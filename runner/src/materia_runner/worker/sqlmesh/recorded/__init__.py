"""Recorded builds: keep the statements of SQLMesh, and replay them while no model changes."""
