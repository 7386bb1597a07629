"""Declare a source of materia in thirty lines: files by date, with exact history and checks.

    from materia_snapshots import Csv, Months, Snapshots, declare

Everything else is given: conditional and resumed downloads, quarantine with reasons, one
transaction a partition, change-only history, and SQLMesh models with column comments.
"""

from materia_snapshots.declaration import Column, Snapshots, declare
from materia_snapshots.forms import Csv, Excel, JsonLines, Parquet
from materia_snapshots.pages import Api, Page, Pages
from materia_snapshots.periods import Days, Listed, Months, Quarters, Runs, Weeks, Years

__all__ = [
    "Api",
    "Column",
    "Csv",
    "Days",
    "Excel",
    "JsonLines",
    "Listed",
    "Months",
    "Page",
    "Pages",
    "Parquet",
    "Quarters",
    "Runs",
    "Snapshots",
    "Weeks",
    "Years",
    "declare",
]
