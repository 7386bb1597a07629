# ruff: noqa: INP001 -- SQLMesh loads this file by path
"""SQLMesh project of the source: its raw and staging models."""

from pathlib import Path

from materia_sqlmesh.project import project_config

config = project_config(Path(__file__).parent)
