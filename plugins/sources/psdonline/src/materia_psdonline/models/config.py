# ruff: noqa: INP001 -- SQLMesh loads this file by path
"""The models that come with the source, as a SQLMesh project of its own."""

from pathlib import Path

from materia_sqlmesh.project import project_config

config = project_config(Path(__file__).parent)
