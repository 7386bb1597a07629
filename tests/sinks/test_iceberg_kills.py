"""Atomic publish: a run killed at any request leaves readers the old state or the new, never both.

A kill after a request equals one before the next request, except for commits: these tests also kill
the run when the catalog has applied a commit and before it answers.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.iceberg_catalog import AT_ONCE, IN_ORDER, IcebergCatalog
from fakes.iceberg_runs import SECRETS, Machine, Reader, settings_of
from fakes.s3 import Fault, S3Server
from fakes.s3_told import publish_when_told, roll_back_when_told
from materia_testing.contracts.crash import Elsewhere
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.publish import (
    ROWS,
    TABLES,
    build,
    expected,
    publish_version,
    read_duckdb,
)

MOST = 80  # requests of one publication


@pytest.fixture(params=[AT_ONCE, IN_ORDER, "apache"])
def kind(request: pytest.FixtureRequest) -> str:
    """Apache's catalog, with the gate of the fake one, has multi-table commits."""
    return AT_ONCE if request.param == "apache" else str(request.param)


@pytest.fixture
def declared(s3_server: S3Server, bucket: str, catalog: IcebergCatalog, tmp_path: Path) -> Declared:
    return Declared(
        kind="sink",
        module="fakes.iceberg_quick",
        name="iceberg",
        directory=tmp_path,
        settings=settings_of(s3_server, bucket, catalog.uri),
        secrets=SECRETS,
    )


@dataclass(slots=True, kw_only=True)
class OfAWrite(Fault):
    """A fault of writes only: a kill before a read equals one before the next write."""

    def strikes(self, request: str) -> bool:
        return not request.startswith(("GET ", "HEAD ")) and Fault.strikes(self, request)


class Killing:
    """Runs that are killed at a request to the store or the catalog."""

    def __init__(self, store: S3Server, catalog: IcebergCatalog, declared: Declared) -> None:
        self.store, self.catalog, self.declared = store, catalog, declared

    def publish(self, version: int, **of_fault: object) -> bool:
        """Publish a version; whether the run was killed meanwhile."""
        build(self.declared.open().checkout(), version)
        return self._killed(Elsewhere(publish_when_told, self.declared, version), **of_fault)

    def roll_back(self, to: str, run: str, **of_fault: object) -> bool:
        """Roll back to a run; whether the rollback was killed meanwhile."""
        return self._killed(Elsewhere(roll_back_when_told, self.declared, to, run), **of_fault)

    def _killed(self, running: Elsewhere, **of_fault: object) -> bool:
        pid = running.receive()
        assert isinstance(pid, int)
        fault = OfAWrite(
            act=lambda: os.kill(pid, signal.SIGKILL),
            drop=True,
            **of_fault,  # type: ignore[arg-type]
        )
        with self.store.failing(fault), self.catalog.failing(fault):
            running.go_on()
            ending = running.ending()
        self.catalog.wait_until_answered()
        assert ending.error is None
        assert ending.killed == bool(fault.happened)
        return ending.killed


def state(reader: Reader, declared: Declared, catalog: IcebergCatalog) -> int:
    """The published version; asserts that every way to read it gives the same."""
    versions = reader.published()
    prices, totals = (
        reader.rows(name, sql, versions[name])
        for name, sql in zip(TABLES, ("SELECT count(*) FROM it", "FROM it"), strict=True)
    )
    found: int = prices[0][0] // ROWS
    path = declared.open().published()
    assert path is not None
    assert prices == totals == [(found * ROWS,)]
    assert read_duckdb(path) == (found * ROWS, found * ROWS)
    fingerprint = declared.open().fingerprint() or ""
    assert fingerprint.startswith(f"stamp {found}")
    # Else a run that finds nothing new would leave the tables mixed for readers of the newest.
    assert heads(catalog, reader) or fingerprint != f"stamp {found}"
    return found


def heads(catalog: IcebergCatalog, reader: Reader) -> bool:
    """Whether a reader without a snapshot id sees the published state."""
    return all(
        catalog.metadata(name)["current-snapshot-id"] == snapshot
        for name, snapshot in reader.published().items()
    )


def test_killed_before_any_request_that_writes(  # noqa: PLR0917 -- of fixtures
    s3_server: S3Server,
    catalog: IcebergCatalog,
    declared: Declared,
    reader: Reader,
    machine: Machine,
    kind: str,
) -> None:
    killing = Killing(s3_server, catalog, declared)
    publish_version(machine("home"), 1)
    now, seen = 1, set()
    for number in range(MOST):
        killed = killing.publish(now + 1, skip=number)
        found = state(reader, declared, catalog)
        seen.add(found == now)

        assert found in {now, now + 1}
        assert kind != AT_ONCE or heads(catalog, reader)
        if not killed:
            break
        now += 2
        assert publish_version(machine("next"), now) == expected(now)
        assert state(reader, declared, catalog) == now
        assert heads(catalog, reader)
    else:
        pytest.fail("it never came to its end")

    assert number >= 10
    assert seen == {True, False}


@pytest.mark.parametrize("first", [True, False], ids=["the first run", "a later run"])
def test_killed_when_a_commit_was_applied_and_not_answered(  # noqa: PLR0917 -- of fixtures
    s3_server: S3Server,
    catalog: IcebergCatalog,
    declared: Declared,
    reader: Reader,
    machine: Machine,
    kind: str,
    first: bool,  # noqa: FBT001 -- of a parameter
) -> None:
    killing = Killing(s3_server, catalog, declared)
    now = 0
    if not first:
        now = 1
        publish_version(machine("home"), now)
    commits = "transactions/commit$|tables/[a-z]+$"
    for number in range(9):
        if not killing.publish(now + 1, method="POST", name=commits, skip=number, after=True):
            assert state(reader, declared, catalog) == now + 1
            break
        if ("publication", "run") in catalog.tables and reader.published():
            assert state(reader, declared, catalog) in {now, now + 1}
        now += 2
        assert publish_version(machine("next"), now) == expected(now)
        assert state(reader, declared, catalog) == now
    else:
        pytest.fail("it never came to its end")

    assert number >= (1 if kind == AT_ONCE else 4)


def test_a_rollback_killed_before_any_request_that_writes(  # noqa: PLR0917 -- of fixtures
    s3_server: S3Server,
    catalog: IcebergCatalog,
    declared: Declared,
    reader: Reader,
    machine: Machine,
    kind: str,
) -> None:
    killing = Killing(s3_server, catalog, declared)
    publish_version(machine("home"), 1)
    publish_version(machine("home"), 2)
    seen = set()
    for number in range(MOST):
        killed = killing.roll_back("run 1", f"back {number}", skip=number)
        versions = reader.published()
        found = {reader.rows(name, *of)[0][0] // ROWS for name, of in counted(versions)}
        seen |= found

        assert found in ({1}, {2})
        assert kind != AT_ONCE or heads(catalog, reader)
        if not killed:
            assert found == {1}
            break
        machine("next").roll_back("run 2", run=f"forward {number}")
        assert state(reader, declared, catalog) == 2
        assert heads(catalog, reader)
    else:
        pytest.fail("it never came to its end")

    assert number >= 5
    assert seen == {1, 2}
    assert publish_version(machine("next"), 3) == expected(3)
    assert state(reader, declared, catalog) == 3


def counted(versions: dict[str, int]) -> list[tuple[str, tuple[str, int]]]:
    """What `Reader.rows` needs to count the rows of both tables in the published state."""
    queries = ("SELECT count(*) FROM it", "FROM it")
    return [(name, (sql, versions[name])) for name, sql in zip(TABLES, queries, strict=True)]
