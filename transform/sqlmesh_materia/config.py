"""The SQLMesh project of the workspace: what the source brings, cleaned and served."""

from pathlib import Path

from materia_sqlmesh.project import project_config, source_project

folder = Path(__file__).parent
config = project_config(folder, beside=source_project(folder))
