"""Order, side effects and progress: promises of a source that a quick look does not show."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
from materia.data import Fetched, FetchRequest, LoadRequest, PartitionsRequest, RawFile, Unchanged
from materia.kit.files import sha256_of
from materia.protocols import Source

from materia_testing.contracts.contract import Contract
from materia_testing.contracts.sources.transfer import needs
from materia_testing.contracts.sources.world import (
    Kept,
    World,
    fetch,
    keep_edition,
    load,
    partition_of,
    remembered,
)

BARRIER_SECONDS = 20.0


def contents(folder: Path) -> Mapping[str, str]:
    """The hash of every file below *folder*, by path."""
    return {str(path): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


class CareContract(Contract):
    """What a source keeps to beside its answers."""

    section = "a-source-of-your-own-code"

    @pytest.fixture
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The working folder of the process, which a source leaves alone."""
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        monkeypatch.chdir(folder)
        return folder

    def test_partitions_are_in_order_and_each_once_whatever_is_known(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It puts the partitions that are checked again before or after the new ones."""
        kept = [keep_edition(source, world, key, 1, tmp_path).raw for key in world.keys]
        for count in range(len(kept) + 1):
            for known in (kept[:count], kept[count:]):
                request = PartitionsRequest(
                    known={raw.partition: remembered(raw) for raw in known}, now=world.now
                )
                for everything in (False, True):
                    asked = source.partitions(replace(request, everything=everything))
                    keys = [one.key for one in asked]
                    assert keys == sorted(set(keys))
                    if everything:
                        assert set(world.keys) <= set(keys)
                    else:
                        assert set(world.keys) - {raw.partition for raw in known} <= set(keys)

    def test_partitions_are_listed_while_the_server_is_down(
        self, source: Source, world: World
    ) -> None:
        """It asks the server which files there are; a runner lists them without it, too."""
        request = PartitionsRequest(known={}, now=world.now)
        listed, requests = list(source.partitions(request)), world.requests()
        world.vanish()
        again = list(source.partitions(request))
        world.heal()

        assert again == listed
        if "count" not in world.lacks:
            assert world.requests() == requests

    def test_an_etag_is_never_sent_to_another_address(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It sends the known ETag although `known.url` is not the partition's address."""
        key = world.keys[0]
        world.publish(key, 1)
        first = fetch(source, world, key, tmp_path / "first")
        assert isinstance(first, Fetched)
        moved = replace(remembered(first.raw), url="https://moved.example/file")
        again = fetch(source, world, key, tmp_path / "again", moved)

        assert isinstance(again, Fetched) or (
            isinstance(again, Unchanged) and again.sha256 == first.raw.sha256
        )

    def test_the_same_bytes_have_the_same_content(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """`content` holds a time, or something of the process, so each run loads anew."""
        key = world.keys[0]
        world.publish(key, 1)
        one = fetch(source, world, key, tmp_path / "one")
        other = fetch(source, world, key, tmp_path / "other")

        assert isinstance(one, Fetched)
        assert isinstance(other, Fetched)
        assert one.raw.content == other.raw.content

    def test_a_fetch_writes_into_its_own_folder_alone(
        self, source: Source, world: World, tmp_path: Path, elsewhere: Path
    ) -> None:
        """It keeps a copy or a cache in the working folder, or beside the given folder."""
        key = world.keys[0]
        world.publish(key, 1)
        folder = tmp_path / "mine" / "fetched"
        before = contents(tmp_path)
        result = fetch(source, world, key, folder)

        assert isinstance(result, Fetched)
        assert result.path.parent == folder
        new = {path for path, sha256 in contents(tmp_path).items() if before.get(path) != sha256}
        assert new == {str(result.path)}
        assert list(elsewhere.iterdir()) == []

    def test_partitions_are_fetched_side_by_side(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It holds a lock of its own during a download, so that threads wait for each other."""
        for key in world.keys:
            world.publish(key, 1)
        meeting = threading.Barrier(len(world.keys))
        alone: list[str] = []

        def download(key: str) -> None:
            met = False

            def received(_count: int) -> None:
                nonlocal met
                if not met:
                    met = True
                    meeting.wait(BARRIER_SECONDS)

            folder = tmp_path / key
            folder.mkdir(parents=True)
            try:
                source.fetch(
                    FetchRequest(
                        partition=partition_of(source, world, key),
                        known=None,
                        directory=folder,
                        received=received,
                    )
                )
            except threading.BrokenBarrierError:
                alone.append(key)

        threads = [threading.Thread(target=download, args=(key,)) for key in world.keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert alone == [], f"others waited {BARRIER_SECONDS:.0f} s for these to receive bytes"
        assert not meeting.broken

    def test_a_load_changes_nothing_but_its_database_and_its_own_folder(
        self, source: Source, world: World, tmp_path: Path, elsewhere: Path
    ) -> None:
        """It unpacks beside the raw file, in the working folder, or drops tables of others."""
        store = tmp_path / "store"
        store.mkdir()
        files = [keep_edition(source, world, key, 1, store) for key in world.keys]
        before = contents(tmp_path)
        scratch, database = _made(tmp_path / "base" / "scratch"), tmp_path / "base" / "m.duckdb"
        _put_others(database)
        load(source, database, files, scratch)
        _check_others(database)
        apart = str(tmp_path / "base")

        after = {
            path: sha for path, sha in contents(tmp_path).items() if not path.startswith(apart)
        }
        assert after == before
        assert list(elsewhere.iterdir()) == []
        assert {path.name for path in (tmp_path / "base").iterdir()} <= {
            "m.duckdb",
            "m.duckdb.wal",
            "scratch",
        }

    def test_a_load_says_after_each_partition_how_many_are_left(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It does not call `request.loaded`, so the user sees no progress."""
        files = [keep_edition(source, world, key, 1, tmp_path) for key in world.keys]
        said: list[tuple[str, int]] = []
        report = source.load(
            _request(tmp_path, files, loaded=lambda key, left: said.append((key, left)))
        )

        assert sorted(key for key, _ in said) == sorted(report.loaded)
        assert [left for _, left in said] == [*range(len(files))][::-1]
        assert report.rows_added > 0

    def test_a_file_that_is_loaded_already_is_not_needed_again(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It opens every file in use, though the sink may no longer keep the old ones."""
        files = [keep_edition(source, world, key, 1, tmp_path) for key in world.keys]
        source.load(_request(tmp_path, files[:2]))
        report = source.load(_request(tmp_path, files, there=files[2:]))
        at_once = tmp_path / "at once.duckdb"
        load(source, at_once, files, tmp_path / "scratch")

        assert report.loaded == (world.keys[2],)
        assert dict(report.refused) == {}
        assert world.read(tmp_path / "loaded.duckdb") == world.read(at_once)

    @pytest.mark.parametrize("change", ["replaced", "removed", "added"])
    def test_every_change_of_rows_affects_the_dates_of_these_rows(
        self, source: Source, world: World, tmp_path: Path, change: str
    ) -> None:
        """`affected` lacks the dates of rows that are gone, so models keep them."""
        needs(world, "dates")
        a, b, _ = (keep_edition(source, world, key, 1, tmp_path) for key in world.keys)
        new = keep_edition(source, world, world.keys[1], 2, tmp_path)
        before, after = {
            "replaced": ([a, b], [a, new]),
            "removed": ([a, b], [a]),
            "added": ([a], [a, b]),
        }[change]
        first = source.load(_request(tmp_path, before))
        published = tmp_path / "published.duckdb"
        (tmp_path / "loaded.duckdb").rename(published)
        whole = tmp_path / "loaded.duckdb"
        whole.write_bytes(published.read_bytes())
        changed = source.load(_request(tmp_path, after, published=published))

        for affected in (first.affected, changed.affected):
            assert affected
            assert all(type(day) is date for day in affected), "a time is no date"
            assert list(affected) == sorted(set(affected))

    def test_a_time_of_fetching_is_that_of_the_fetch(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It gives the time of the server or of the file as `fetched_at`."""
        key = world.keys[0]
        world.publish(key, 1)
        times: list[datetime] = []
        for name in ("one", "other"):
            result = fetch(source, world, key, tmp_path / name)
            assert isinstance(result, Fetched)
            times.append(result.raw.fetched_at)

        assert times[0] < times[1]


# Tables of other sources and pipelines in the same database.
OTHERS = ("raw.others_of_contract_row", "others_of_contract.kept")


def _put_others(database: Path) -> None:
    import duckdb

    with duckdb.connect(str(database)) as connection:
        for table in OTHERS:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.split('.')[0]}")
            connection.execute(f"CREATE TABLE {table} AS SELECT 1 AS number")


def _check_others(database: Path) -> None:
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        for table in OTHERS:
            assert connection.execute(f"FROM {table}").fetchall() == [(1,)], table


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _request(
    folder: Path,
    files: list[Kept],
    *,
    there: list[Kept] | None = None,
    published: Path | None = None,
    loaded: Callable[[str, int], None] = lambda _key, _left: None,
) -> LoadRequest:
    """A load of *files* into one database, of which the sink still has those in *there*."""
    kept = {
        (one.raw.partition, one.raw.sha256): one.path for one in (files if there is None else there)
    }

    def find(partition: str, _file: str, sha256: str) -> Path | None:
        return kept.get((partition, sha256))

    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    raws: list[RawFile] = sorted((one.raw for one in files), key=lambda raw: raw.partition)
    return LoadRequest(
        database=folder / "loaded.duckdb",
        files=tuple(raws),
        find=find,
        directory=scratch,
        published=published,
        loaded=loaded,
    )
