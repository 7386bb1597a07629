"""Raw files and quarantine: the first half of `SinkContract`."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from materia.data import Absent, Fetched, FetchResult, Known, Partition, RawFile, Refused, Unchanged
from materia.errors import SinkError
from materia.protocols import Sink

from materia_testing.contracts.contract import Contract
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.elsewhere import RECORDED_AS

SOURCE = RECORDED_AS
JANUARY = Partition(key="2026-01", url="https://acme.example/2026-01.zip", file="prices.zip")
FEBRUARY = Partition(key="2026-02", url="https://acme.example/2026-02.zip", file="prices.zip")
OLD, NEW = b"old prices" * 50, b"new prices" * 60


def fetched(folder: Path, partition: Partition, content: bytes, *, etag: str = '"1"') -> Fetched:
    """The result of a source's fetch: a file in *folder*, and its record."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / partition.file.replace("/", "_")
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return Fetched(
        raw=RawFile(
            partition=partition.key,
            file=partition.file,
            url=partition.url,
            sha256=sha256,
            content=hashlib.sha256(b"inside" + content).hexdigest(),
            size=len(content),
            etag=etag,
            last_modified="Sat, 10 Jan 2026 12:00:00 GMT",
            fetched_at=datetime(2026, 1, 10, 12, 0, 30, tzinfo=UTC),
        ),
        path=path,
    )


def refused(folder: Path, content: bytes | None, *, etag: str | None = None) -> Refused:
    """The record of a file that a source refuses."""
    path = sha256 = None
    if content is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "refused.zip"
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
    reason = "is not a zip archive"
    return Refused(reason=reason, etag=etag, last_modified=None, path=path, sha256=sha256)


def kept(sink: Sink, raw: RawFile | None) -> bytes | None:
    """The bytes of a raw file in the sink."""
    if raw is None:
        return None
    path = sink.find_raw(SOURCE, raw.partition, raw.file, raw.sha256)
    return None if path is None else path.read_bytes()


def in_use(sink: Sink, partition: Partition = JANUARY) -> bytes | None:
    """The bytes of the file in use."""
    known = sink.known(SOURCE).get(partition.key)
    return None if known is None else kept(sink, known.raw)


class RawFilesContract(Contract):
    """The promises of `known`, `record`, `refuse` and `find_raw`."""

    section = "a-sink"

    module: str
    package: str = ""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """The folder into which a source downloads files."""
        return tmp_path / "fetched"

    def test_nothing_is_known_before_the_first_record(self, sink: Sink) -> None:
        """It invents a record."""
        assert dict(sink.known(SOURCE)) == {}
        assert sink.find_raw(SOURCE, JANUARY.key, JANUARY.file, "0" * 64) is None

    def test_a_fetched_file_is_kept_byte_for_byte_with_all_that_is_known_of_it(
        self, sink: Sink, declared: Declared, folder: Path
    ) -> None:
        """It leaves out a field of `Known`, or writes a time without its zone."""
        result = fetched(folder, JANUARY, OLD)
        before = datetime.now(UTC)
        sink.record(SOURCE, JANUARY, result)

        for asked in (sink, declared.open()):
            known = asked.known(SOURCE)
            one = known[JANUARY.key]
            assert set(known) == {JANUARY.key}
            assert one == Known(
                url=JANUARY.url,
                checked_at=one.checked_at,
                raw=result.raw,
                etag=result.raw.etag,
                last_modified=result.raw.last_modified,
            )
            assert before <= one.checked_at <= datetime.now(UTC)
            assert one.checked_at.utcoffset() == timedelta(0)
            assert kept(asked, one.raw) == OLD

    def test_unchanged_takes_the_newest_etag_and_keeps_the_file(
        self, sink: Sink, folder: Path
    ) -> None:
        """It ignores the fields of `Unchanged`."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        first = sink.known(SOURCE)[JANUARY.key]
        moved = replace(JANUARY, url="https://acme.example/new/2026-01.zip")
        sink.record(SOURCE, moved, Unchanged(etag='"2"', last_modified="later"))
        known = sink.known(SOURCE)[JANUARY.key]

        assert (known.url, known.etag, known.last_modified) == (moved.url, '"2"', "later")
        assert known.raw == first.raw
        assert known.checked_at >= first.checked_at
        assert in_use(sink) == OLD

    def test_unchanged_of_something_never_kept_is_an_error(self, sink: Sink) -> None:
        """It makes a record without a file."""
        with pytest.raises(SinkError, match=JANUARY.key):
            sink.record(SOURCE, JANUARY, Unchanged(etag='"1"', last_modified=None))

        assert dict(sink.known(SOURCE)) == {}

    def test_an_absent_partition_is_remembered_as_absent(self, sink: Sink) -> None:
        """It records nothing, so the partition is asked for as if it were new."""
        sink.record(SOURCE, JANUARY, Absent())
        known = sink.known(SOURCE)[JANUARY.key]

        assert known.absent
        assert known.url == JANUARY.url
        assert known.etag is None

    def test_a_partition_that_the_source_denies_stays_in_use(
        self, sink: Sink, declared: Declared, folder: Path
    ) -> None:
        """It drops the file although `Absent.removed` is false."""
        good = fetched(folder, JANUARY, OLD)
        sink.record(SOURCE, JANUARY, good)
        sink.record(SOURCE, JANUARY, Absent(reason="the server answers 410"))

        for asked in (sink, declared.open()):
            known = asked.known(SOURCE)[JANUARY.key]
            assert (known.denied, known.absent) == (True, False)
            assert (known.raw, known.etag, known.url) == (good.raw, '"1"', JANUARY.url)
            assert in_use(asked) == OLD

    @pytest.mark.parametrize("answer", ["unchanged", "fetched", "refused"])
    def test_a_denied_partition_that_is_there_again_is_denied_no_more(
        self, sink: Sink, folder: Path, answer: str
    ) -> None:
        """It never sets `denied` back."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        sink.record(SOURCE, JANUARY, Absent())
        answers: dict[str, FetchResult] = {
            "unchanged": Unchanged(etag='"1"', last_modified=None),
            "fetched": fetched(folder, JANUARY, NEW),
            "refused": refused(folder, None),
        }
        sink.record(SOURCE, JANUARY, answers[answer])

        assert not sink.known(SOURCE)[JANUARY.key].denied
        assert in_use(sink) == (NEW if answer == "fetched" else OLD)

    def test_a_partition_that_was_taken_away_is_out_of_use_until_it_comes_back(
        self, sink: Sink, folder: Path
    ) -> None:
        """It keeps the file in use, or its ETag."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        sink.record(SOURCE, JANUARY, Absent(removed=True))
        gone = sink.known(SOURCE)[JANUARY.key]
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))

        assert gone.absent
        assert gone.etag is None
        assert in_use(sink) == OLD

    def test_a_changed_file_replaces_the_one_in_use(self, sink: Sink, folder: Path) -> None:
        """It keeps the first file of a partition."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, NEW, etag='"2"'))

        assert sink.known(SOURCE)[JANUARY.key].etag == '"2"'
        assert in_use(sink) == NEW

    def test_the_same_file_again_changes_nothing_but_when_it_was_checked(
        self, sink: Sink, folder: Path
    ) -> None:
        """It keeps the file twice, or reorders its history."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        first = sink.known(SOURCE)[JANUARY.key]
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        again = sink.known(SOURCE)[JANUARY.key]

        assert replace(again, checked_at=first.checked_at) == first
        assert in_use(sink) == OLD

    @pytest.mark.parametrize("content", [None, b"<html>"], ids=["no file", "a file"])
    def test_a_refused_fetch_leaves_the_file_before_it_in_use(
        self, sink: Sink, folder: Path, content: bytes | None
    ) -> None:
        """It forgets the file in use, or keeps its ETag for the refused one."""
        good = fetched(folder, JANUARY, OLD)
        sink.record(SOURCE, JANUARY, good)
        sink.record(SOURCE, JANUARY, refused(folder, content))
        known = sink.known(SOURCE)[JANUARY.key]

        assert known.raw == good.raw
        assert known.refused == "is not a zip archive"
        assert known.refused_sha256 == (content and hashlib.sha256(content).hexdigest())
        assert known.etag is None, "the tag of the file in use would hide the next one"
        assert in_use(sink) == OLD

    def test_a_partition_of_which_nothing_could_be_used_is_not_absent(
        self, sink: Sink, folder: Path
    ) -> None:
        """It records a refused file as absent."""
        sink.record(SOURCE, JANUARY, refused(folder, b"<html>"))
        known = sink.known(SOURCE)[JANUARY.key]

        assert known.raw is None
        assert not known.absent

    def test_what_was_refused_stays_refused_while_it_is_unchanged(
        self, sink: Sink, folder: Path
    ) -> None:
        """It forgets the refusal with `Unchanged`."""
        sink.record(SOURCE, JANUARY, refused(folder, b"<html>"))
        sink.record(SOURCE, JANUARY, Unchanged(etag='"bad"', last_modified=None))
        known = sink.known(SOURCE)[JANUARY.key]

        sha256 = hashlib.sha256(b"<html>").hexdigest()
        assert (known.refused_sha256, known.etag) == (sha256, '"bad"')
        assert known.refused == "is not a zip archive"

    def test_a_good_file_after_a_refused_one_is_in_use(self, sink: Sink, folder: Path) -> None:
        """It never forgets a refusal."""
        sink.record(SOURCE, JANUARY, refused(folder, b"<html>"))
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))

        assert sink.known(SOURCE)[JANUARY.key].refused is None
        assert sink.known(SOURCE)[JANUARY.key].refused_sha256 is None
        assert in_use(sink) == OLD

    def test_a_kept_file_that_cannot_be_loaded_gives_way_to_the_one_before_it(
        self, sink: Sink, declared: Declared, folder: Path
    ) -> None:
        """It keeps only the newest file of a partition."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        bad = fetched(folder, JANUARY, NEW, etag='"2"')
        sink.record(SOURCE, JANUARY, bad)
        sink.refuse(SOURCE, bad.raw, "has the wrong columns")

        for asked in (sink, declared.open()):
            known = asked.known(SOURCE)[JANUARY.key]
            assert known.refused == "has the wrong columns"
            assert known.refused_sha256 == bad.raw.sha256
            assert known.etag == '"2"', "the refused file would be downloaded again and again"
            assert in_use(asked) == OLD

    def test_a_kept_file_that_cannot_be_loaded_and_had_none_before_it_is_refused(
        self, sink: Sink, folder: Path
    ) -> None:
        """It goes on using the file, or takes the partition for absent."""
        bad = fetched(folder, JANUARY, OLD)
        sink.record(SOURCE, JANUARY, bad)
        sink.refuse(SOURCE, bad.raw, "has the wrong columns")
        known = sink.known(SOURCE)[JANUARY.key]

        assert known.raw is None
        assert not known.absent
        assert known.etag == '"1"'

    def test_refusing_twice_changes_nothing_more(self, sink: Sink, folder: Path) -> None:
        """It refuses the file that came into use instead."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        bad = fetched(folder, JANUARY, NEW)
        sink.record(SOURCE, JANUARY, bad)
        sink.refuse(SOURCE, bad.raw, "has the wrong columns")
        once = sink.known(SOURCE)[JANUARY.key]
        sink.refuse(SOURCE, bad.raw, "has the wrong columns")

        assert sink.known(SOURCE)[JANUARY.key] == once
        assert in_use(sink) == OLD

    def test_partitions_and_sources_do_not_mix(self, sink: Sink, folder: Path) -> None:
        """It keeps the records of all sources in one place."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        sink.record(SOURCE, FEBRUARY, fetched(folder, FEBRUARY, NEW))
        march = replace(JANUARY, key="2026-03")
        sink.record("other", march, fetched(folder, march, b"march"))
        other = fetched(folder, JANUARY, b"other")
        sink.record("other", JANUARY, other)

        assert set(sink.known(SOURCE)) == {JANUARY.key, FEBRUARY.key}
        assert in_use(sink, JANUARY) == OLD
        assert in_use(sink, FEBRUARY) == NEW
        assert set(sink.known("other")) == {JANUARY.key, march.key}
        assert sink.known("other")[JANUARY.key].raw == other.raw

    @pytest.mark.parametrize(
        ("key", "file"),
        [
            ("eu/2026-01", "prices.zip"),
            ("..", "prices.zip"),
            ("2026 01 ü", "a b.zip"),
            ("%2E", "noextension"),
            ("2026-01", "../prices.zip"),
        ],
    )
    def test_any_key_and_file_name_can_be_kept(
        self, sink: Sink, folder: Path, key: str, file: str
    ) -> None:
        """It makes a path of a key or a file name as it is."""
        odd = Partition(key=key, url=JANUARY.url, file=file)
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        sink.record(SOURCE, odd, fetched(folder, odd, NEW))

        assert in_use(sink, odd) == NEW
        assert sink.known(SOURCE)[key].raw is not None
        if key != JANUARY.key:
            assert in_use(sink, JANUARY) == OLD

    def test_a_file_that_is_not_what_was_fetched_is_not_kept(
        self, sink: Sink, folder: Path
    ) -> None:
        """It does not compare the size or the hash with the `RawFile`."""
        sink.record(SOURCE, JANUARY, fetched(folder, JANUARY, OLD))
        torn = fetched(folder, JANUARY, NEW)
        torn.path.write_bytes(NEW[:100])
        with pytest.raises(SinkError):
            sink.record(SOURCE, JANUARY, torn)

        assert in_use(sink) == OLD
