"""Listing and fetching partitions: the first half of `SourceContract`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    Partition,
    PartitionsRequest,
    Refused,
    Unchanged,
)
from materia.errors import SourceError
from materia.kit.files import sha256_of
from materia.protocols import Source

from materia_testing.contracts.crash import elsewhere, kill_points
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sources.transfer import TransferContract, needs
from materia_testing.contracts.sources.world import (
    World,
    fetch,
    keep,
    keep_edition,
    load,
    partition_of,
    remembered,
    traced,
)

KILLS = 20


def fetch_elsewhere(declared: Declared, partition: Partition, folder: Path) -> FetchResult:
    """Fetch in a newly opened source."""
    result: FetchResult = declared.open().fetch(
        FetchRequest(partition=partition, known=None, directory=folder)
    )
    return result


class FetchContract(TransferContract):
    """The promises of `partitions` and `fetch`."""

    section = "a-source-of-your-own-code"

    module: str

    def test_partitions_are_listed_oldest_first_and_each_once(
        self, source: Source, world: World
    ) -> None:
        """It does not sort, or lists a partition that is new and due twice."""
        asked = source.partitions(PartitionsRequest(known={}, now=world.now))
        keys = [partition.key for partition in asked]

        assert keys == sorted(set(keys))
        assert [key for key in keys if key in world.keys] == list(world.keys)
        assert all(partition.url and partition.file for partition in asked)

    def test_partitions_are_the_same_when_asked_again(self, source: Source, world: World) -> None:
        """It keeps what it listed, or reads another clock than `request.now`."""
        request = PartitionsRequest(known={}, now=world.now)

        assert list(source.partitions(request)) == list(source.partitions(request))

    def test_everything_leaves_no_partition_out(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It ignores `request.everything`."""
        known = {}
        for key in world.keys:
            world.publish(key, 1)
            result = fetch(source, world, key, tmp_path / key)
            assert isinstance(result, Fetched)
            known[key] = remembered(result.raw)
        due = source.partitions(PartitionsRequest(known=known, now=world.now))
        asked = source.partitions(PartitionsRequest(known=known, now=world.now, everything=True))
        keys = [partition.key for partition in asked]

        assert keys == sorted(set(keys))
        assert {partition.key for partition in due} | set(world.keys) <= set(keys)

    def test_what_was_refused_or_denied_is_asked_for_again(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It asks only for what is new, and forgets `known.refused` and `known.denied`."""
        known = {}
        for key in world.keys:
            world.publish(key, 1)
            result = fetch(source, world, key, tmp_path / key)
            assert isinstance(result, Fetched)
            known[key] = remembered(result.raw)
        first, second, _ = world.keys
        known[first] = replace(known[first], denied=True)
        known[second] = replace(known[second], refused="is a page", refused_sha256="0" * 64)
        asked = source.partitions(PartitionsRequest(known=known, now=world.now))

        assert {first, second} <= {partition.key for partition in asked}

    def test_a_fetched_file_is_what_is_said_of_it(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It hashes something else than the file, or leaves other files in the folder."""
        key = world.keys[0]
        world.publish(key, 1)
        before = datetime.now(UTC)
        result = fetch(source, world, key, tmp_path / "fetched")
        partition = partition_of(source, world, key)

        assert isinstance(result, Fetched)
        raw = result.raw
        assert (raw.partition, raw.url, raw.file) == (key, partition.url, partition.file)
        assert raw.sha256 == sha256_of(result.path)
        assert raw.size == result.path.stat().st_size > 0
        assert raw.content
        assert before - timedelta(seconds=1) <= raw.fetched_at <= datetime.now(UTC)
        assert raw.fetched_at.utcoffset() == timedelta(0)
        assert list((tmp_path / "fetched").iterdir()) == [result.path]

    def test_received_bytes_are_told_as_they_come(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It does not call `request.received`, or gives it the sum so far."""
        key = world.keys[0]
        world.publish(key, 1)
        received: list[int] = []
        result = source.fetch(
            FetchRequest(
                partition=partition_of(source, world, key),
                known=None,
                directory=tmp_path,
                received=received.append,
            )
        )

        assert isinstance(result, Fetched)
        assert sum(received) == result.raw.size

    def test_an_etag_that_still_matches_costs_one_request_and_no_bytes(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It does not send If-None-Match, or keeps no ETag in its `RawFile`."""
        needs(world, "validators")
        key = world.keys[0]
        world.publish(key, 1)
        first = fetch(source, world, key, tmp_path / "first")
        assert isinstance(first, Fetched)
        partition = partition_of(source, world, key)
        (tmp_path / "second").mkdir()
        requests, sent = world.requests(), world.sent()
        again = source.fetch(
            FetchRequest(
                partition=partition, known=remembered(first.raw), directory=tmp_path / "second"
            )
        )

        assert isinstance(again, Unchanged)
        assert again.sha256 is not None or again.etag == first.raw.etag
        assert list((tmp_path / "second").iterdir()) == []
        if "count" not in world.lacks:
            assert (world.requests() - requests, world.sent() - sent) == (1, 0)

    def test_a_changed_file_is_fetched_with_another_content(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It takes what is known for what is there, or `content` is not about the rows."""
        key = world.keys[0]
        world.publish(key, 1)
        first = fetch(source, world, key, tmp_path / "first")
        assert isinstance(first, Fetched)
        world.publish(key, 2)
        second = fetch(source, world, key, tmp_path / "second", remembered(first.raw))

        assert isinstance(second, Fetched)
        assert second.raw.sha256 != first.raw.sha256
        assert second.raw.content != first.raw.content

    def test_the_same_bytes_published_again_are_the_same_file(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It packs or rewrites the file, so that its hash changes."""
        key = world.keys[0]
        world.publish(key, 1)
        first = fetch(source, world, key, tmp_path / "first")
        assert isinstance(first, Fetched)
        world.publish(key, 1)
        again = fetch(source, world, key, tmp_path / "again", remembered(first.raw))

        assert isinstance(again, Fetched | Unchanged)
        if isinstance(again, Fetched):
            assert again.raw.sha256 == first.raw.sha256

    def test_the_same_rows_in_other_bytes_have_the_same_content(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """`content` is the hash of the packed file."""
        needs(world, "rewrap")
        key = world.keys[0]
        world.publish(key, 1)
        first = fetch(source, world, key, tmp_path / "first")
        assert isinstance(first, Fetched)
        world.rewrap(key, 1)
        again = fetch(source, world, key, tmp_path / "again", remembered(first.raw))

        assert isinstance(again, Fetched)
        assert again.raw.sha256 != first.raw.sha256
        assert again.raw.content == first.raw.content

    def test_a_partition_that_is_not_there_is_absent(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It raises for status 404 or 410, leaves an empty file, or takes 404 for a removal."""
        world.publish(world.keys[0], 1)
        never = fetch(source, world, world.keys[1], tmp_path / "never")
        first = fetch(source, world, world.keys[0], tmp_path / "first")
        assert isinstance(first, Fetched)
        world.remove(world.keys[0])
        gone = fetch(source, world, world.keys[0], tmp_path / "gone")
        denied = fetch(source, world, world.keys[0], tmp_path / "denied", remembered(first.raw))

        assert isinstance(never, Absent)
        assert isinstance(gone, Absent)
        assert list((tmp_path / "gone").iterdir()) == []
        assert isinstance(denied, Absent)
        if first.raw.url.startswith("http"):
            assert not denied.removed, "a file in use stays in use, whatever a server denies"

    def test_a_place_that_cannot_be_reached_is_an_error_and_not_an_absence(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It returns `Absent` for a server error, or the message has no address."""
        for key in world.keys:
            world.publish(key, 1)
        partition = partition_of(source, world, world.keys[0])
        world.vanish()
        with pytest.raises(SourceError) as raised:
            source.fetch(FetchRequest(partition=partition, known=None, directory=tmp_path))
        world.heal()

        assert partition.url in str(raised.value)
        assert isinstance(fetch(source, world, world.keys[0], tmp_path / "healed"), Fetched)

    def test_an_answer_that_breaks_off_never_stays_under_its_final_name(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It downloads to the final name, or does not compare the length."""
        needs(world, "break_off")
        key = world.keys[0]
        world.publish(key, 1)
        whole = fetch(source, world, key, tmp_path / "whole")
        assert isinstance(whole, Fetched)
        folder = tmp_path / "torn"
        world.break_off()
        with pytest.raises(SourceError):
            fetch(source, world, key, folder)
        assert not (folder / whole.path.name).exists()
        world.heal()
        result = fetch(source, world, key, folder)

        assert isinstance(result, Fetched)
        assert result.raw.sha256 == whole.raw.sha256
        assert list(folder.iterdir()) == [result.path]

    def test_killed_while_fetching_no_part_stays_under_the_final_name(
        self, source: Source, declared: Declared, world: World, tmp_path: Path
    ) -> None:
        """It writes to the final name and not to a temporary file that it renames."""
        key = world.keys[0]
        world.publish(key, 1)
        partition = partition_of(source, world, key)
        (tmp_path / "whole").mkdir()
        ending = elsewhere(
            fetch_elsewhere, declared, partition, tmp_path / "whole", package=traced(self.module)
        )
        whole = ending.value
        assert isinstance(whole, Fetched)
        killed = 0
        for point in kill_points(ending.lines, at_most=KILLS):
            folder = tmp_path / f"killed before line {point}"
            folder.mkdir()
            killed += elsewhere(
                fetch_elsewhere,
                declared,
                partition,
                folder,
                package=traced(self.module),
                kill_before=point,
            ).killed
            final = folder / whole.path.name
            assert not final.exists() or sha256_of(final) == whole.raw.sha256
            again = fetch(source, world, key, folder)
            assert isinstance(again, Fetched)
            assert again.raw.sha256 == whole.raw.sha256
            assert list(folder.iterdir()) == [again.path]

        assert killed

    def test_several_partitions_are_fetched_at_once(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It keeps the file of a fetch in an attribute that threads share."""
        for key in world.keys:
            world.publish(key, 1)
        with ThreadPoolExecutor(len(world.keys)) as pool:
            results = list(
                pool.map(lambda key: fetch(source, world, key, tmp_path / key), world.keys)
            )

        fetched = [result.raw.partition for result in results if isinstance(result, Fetched)]
        assert fetched == list(world.keys)

    def test_a_file_of_no_use_is_refused_with_its_reason_and_harms_no_other(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It raises for a bad file, commits half of it, or says no reason."""
        assert world.damages, "a world has at least one way to damage a file"
        first, second, third = world.keys
        good = [keep_edition(source, world, key, 1, tmp_path) for key in (first, third)]
        for how, word in world.damages.items():
            was = keep_edition(source, world, second, 1, tmp_path)
            database = tmp_path / f"{how}.duckdb"
            load(source, database, [*good, was], tmp_path / "scratch")
            before = world.read(database)
            world.damage(second, how)
            result = fetch(source, world, second, tmp_path / how, remembered(was.raw))
            if isinstance(result, Refused):
                reason = result.reason
            else:
                # Load must detect the damage that fetch may miss.
                assert isinstance(result, Fetched), f"{how}: {result}"
                bad = keep(source, world, second, tmp_path)
                report = load(source, database, [*good, bad], tmp_path / "scratch")
                assert set(report.refused) == {second}, f"{how}: {report}"
                assert second not in report.loaded, f"{how}: {report}"
                reason = report.refused[second]
            assert word.casefold() in reason.casefold(), f"{how}: {reason}"
            assert world.read(database) == before, how
