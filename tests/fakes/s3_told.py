"""Steps of a sink in another process; nothing of the store is imported there."""

from __future__ import annotations

import os

from materia.data import Fetched
from materia.protocols import HasHistory
from materia_testing.contracts.crash import tell
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.publish import request
from materia_testing.contracts.sinks.raw import JANUARY, SOURCE


def record_when_told(declared: Declared, result: Fetched) -> None:
    """In another process, which says its number first."""
    sink = declared.open()
    tell(os.getpid())
    sink.record(SOURCE, JANUARY, result)


def publish_when_told(declared: Declared, version: int) -> None:
    """In another process, which says its number first; the tables are built already."""
    sink = declared.open()
    database = sink.checkout()
    tell(os.getpid())
    sink.publish(request(f"run {version}", database, version))


def roll_back_when_told(declared: Declared, to: str, run: str) -> None:
    """In another process, which says its number first; the run *to* is published already."""
    sink = declared.open()
    assert isinstance(sink, HasHistory)
    tell(os.getpid())
    sink.roll_back(to, run=run)
