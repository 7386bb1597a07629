"""The SQLMesh project of the workspace: what the sources bring, cleaned and served."""

from pathlib import Path

from materia.sqlmesh_config import project_config, source_projects

config = project_config(Path(__file__).parent, beside=source_projects())
