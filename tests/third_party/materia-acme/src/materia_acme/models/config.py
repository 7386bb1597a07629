from pathlib import Path

from materia.sqlmesh_config import project_config

config = project_config(Path(__file__).parent)
