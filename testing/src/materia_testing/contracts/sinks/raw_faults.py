"""Raw files through a kill and a full disk: further promises of `record` and `refuse`."""

from __future__ import annotations

from pathlib import Path

import pytest
from materia.errors import SinkError
from materia.protocols import Sink

from materia_testing.contracts.contract import Contract
from materia_testing.contracts.crash import elsewhere, kill_points
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.elsewhere import record_elsewhere, refuse_elsewhere
from materia_testing.contracts.sinks.raw import (
    FEBRUARY,
    JANUARY,
    NEW,
    OLD,
    SOURCE,
    fetched,
    in_use,
)

KILLS = 40


class RawFaultsContract(Contract):
    """What `record` and `refuse` keep to when a process or a disk fails."""

    section = "a-sink"
    module: str
    package: str = ""

    def test_killed_while_recording_it_keeps_the_old_file_or_the_new_one(
        self, declared: Declared, folder: Path
    ) -> None:
        """It records first and keeps the file afterwards."""
        package = self.package or self.module
        sink = declared.open()
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        old = sink.known(SOURCE)[JANUARY.key]
        # February is recorded once to count the lines, and then again and again from the old file.
        whole = elsewhere(
            record_elsewhere, declared, FEBRUARY, fetched(folder, FEBRUARY, OLD), package=package
        )
        assert whole.lines > 0, f"no line of {package} ran"
        seen = set()
        for point in kill_points(whole.lines, at_most=KILLS):
            sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
            new = fetched(folder, JANUARY, NEW, etag='"2"')
            ending = elsewhere(
                record_elsewhere, declared, JANUARY, new, package=package, kill_before=point
            )
            after: Sink = declared.open()
            known = after.known(SOURCE)[JANUARY.key]
            seen.add(known.etag)

            assert in_use(after) == (NEW if known.raw == new.raw else OLD)
            assert known.etag == ('"2"' if known.raw == new.raw else old.etag)
            # The next run fetches again and goes on.
            after.record(SOURCE, JANUARY, fetched(folder, JANUARY, NEW, etag='"2"'))
            assert in_use(after) == NEW
            assert ending.killed or point == whole.lines

        assert '"1"' in seen, "no kill came before the record of the file"

    def test_killed_while_refusing_it_goes_on(self, declared: Declared, folder: Path) -> None:
        """It moves the file away before it records the refusal."""
        package = self.package or self.module
        sink = declared.open()
        last = fetched(folder, FEBRUARY, OLD)
        sink.record(SOURCE, FEBRUARY, last)
        whole = elsewhere(refuse_elsewhere, declared, last.raw, package=package)
        for point in kill_points(whole.lines, at_most=KILLS):
            sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
            bad = fetched(folder, JANUARY, NEW, etag='"2"')
            sink.record(SOURCE, JANUARY, bad)
            elsewhere(refuse_elsewhere, declared, bad.raw, package=package, kill_before=point)
            after: Sink = declared.open()

            assert in_use(after) in {OLD, NEW}
            after.refuse(SOURCE, bad.raw, "has the wrong columns")
            assert in_use(after) == OLD
            assert after.known(SOURCE)[JANUARY.key].refused == "has the wrong columns"

    def test_a_full_disk_is_told_and_harms_nothing(self, declared: Declared, folder: Path) -> None:
        """It writes over the record in place, or lets an OSError through."""
        sink = declared.open()
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        for limit in (0, 100, 1000):
            new = fetched(folder, JANUARY, NEW, etag='"2"')
            ending = elsewhere(record_elsewhere, declared, JANUARY, new, file_size_limit=limit)
            if limit == 0 and ending.error is None:
                pytest.skip("the sink writes no file here, so there is no disk to fill")
            if ending.error is not None:
                assert isinstance(ending.error, SinkError), repr(ending.error)
                assert in_use(declared.open()) == OLD
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, NEW, etag='"2"'))

        assert in_use(declared.open()) == NEW
