from pathlib import Path

from materia_sqlmesh.project import project_config

config = project_config(Path(__file__).parent)
