"""Hashes, locks and side effects: promises of a sink that a quick look does not show."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from materia.protocols import Sink

from materia_testing.contracts.contract import Contract
from materia_testing.contracts.crash import elsewhere as in_another_process
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.publish import (
    ROWS,
    Reading,
    expected,
    publish_elsewhere,
    publish_version,
)
from materia_testing.contracts.sinks.raw import JANUARY, NEW, OLD, SOURCE, fetched, refused

Stored = Callable[[], Iterable[bytes]]


class CareContract(Contract):
    """What a sink keeps to beside its answers."""

    section = "a-sink"

    @pytest.fixture
    def stored(self, declared: Declared) -> Stored:
        """A function that gives the bytes of each file that the sink has, whatever it is for.

        Override it for a sink that keeps its files elsewhere than in the directory it is opened
        with.
        """

        def read() -> Iterable[bytes]:
            return [one.read_bytes() for one in declared.directory.rglob("*") if one.is_file()]

        return read

    @pytest.mark.parametrize("when", ["fetched", "loaded"])
    def test_a_file_in_quarantine_is_there_to_be_looked_at(
        self, sink: Sink, stored: Stored, tmp_path: Path, when: str
    ) -> None:
        """It deletes a refused file, so no one can find out what the server sent."""
        good = fetched(tmp_path / "in", JANUARY, OLD)
        sink.record(SOURCE, JANUARY, good)
        if when == "fetched":
            sink.record(SOURCE, JANUARY, refused(tmp_path / "in", NEW))
        else:
            bad = fetched(tmp_path / "in", JANUARY, NEW)
            sink.record(SOURCE, JANUARY, bad)
            sink.refuse(SOURCE, bad.raw, "has the wrong columns")

        assert NEW in set(stored())
        assert OLD in set(stored())

    def test_a_raw_file_is_found_by_its_hash_and_never_another(
        self, sink: Sink, declared: Declared, tmp_path: Path
    ) -> None:
        """It looks for a file by its name, and so gives the newest one for an old record."""
        for content in (OLD, NEW):
            sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, content))
        for asked in (sink, declared.open()):
            for content in (OLD, NEW, b"never kept"):
                sha256 = hashlib.sha256(content).hexdigest()
                path = asked.find_raw(SOURCE, JANUARY.key, JANUARY.file, sha256)
                found = None if path is None else path.read_bytes()
                assert found in {content, None}
                assert found is not None or content != NEW
                assert path is None or content != b"never kept"

    def test_an_open_sink_lets_others_publish_and_sees_what_they_published(
        self, sink: Sink, declared: Declared, reading: Reading
    ) -> None:
        """It keeps its lock after it has published, or what it once read of the publication."""
        publish_version(sink, 1)
        assert sink.fingerprint() == "stamp 1"
        other = in_another_process(publish_elsewhere, declared, 2)

        assert other.error is None, other.error
        assert other.value == expected(2)
        assert sink.fingerprint() == "stamp 2"
        assert reading(sink) == (2 * ROWS, 2 * ROWS)
        assert publish_version(sink, 3) == expected(3)

    def test_it_writes_nothing_outside_of_its_own_place(
        self, sink: Sink, declared: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It writes into the working folder of the process, or beside its own."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        result = fetched(tmp_path / "in", JANUARY, OLD)
        sink.record(SOURCE, JANUARY, result)
        sink.refuse(SOURCE, result.raw, "has the wrong columns")
        publish_version(sink, 1)
        beside = {path.name for path in declared.directory.parent.iterdir()}

        assert list(elsewhere.iterdir()) == []
        assert beside <= {declared.directory.name, "in", "elsewhere", *_given(declared)}


def _given(declared: Declared) -> set[str]:
    """The names of the folders that the settings of the test name."""
    return {Path(str(value)).name for value in declared.settings.values()}
