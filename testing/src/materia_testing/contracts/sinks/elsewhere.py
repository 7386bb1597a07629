"""Steps of a sink that a contract test runs and kills in another process."""

from __future__ import annotations

from materia.data import FetchResult, Partition, RawFile

from materia_testing.contracts.opened import Declared

RECORDED_AS = "acme"


def record_elsewhere(declared: Declared, partition: Partition, result: FetchResult) -> None:
    """Record in a newly opened sink."""
    declared.open().record(RECORDED_AS, partition, result)


def refuse_elsewhere(declared: Declared, raw: RawFile) -> None:
    """Refuse in a newly opened sink."""
    declared.open().refuse(RECORDED_AS, raw, "has the wrong columns")
