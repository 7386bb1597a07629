"""Loading files into rows: the second half of `SourceContract`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from materia.errors import MateriaError
from materia.kit.files import sha256_of
from materia.protocols import Source

from materia_testing.contracts.contract import Contract
from materia_testing.contracts.crash import Elsewhere, elsewhere, kill_points
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sources.transfer import needs
from materia_testing.contracts.sources.world import (
    Kept,
    World,
    keep_edition,
    load,
    load_elsewhere,
    traced,
)

KILLS = 12
TIMED_KILLS = 4


def loaded_at_once(source: Source, world: World, files: Sequence[Kept], database: Path) -> object:
    """The raw layer after *files* are loaded into a new database."""
    database.unlink(missing_ok=True)
    load(source, database, files, database.parent / "at once")
    return world.read(database)


class LoadContract(Contract):
    """The promises of `load` and `models`."""

    section = "a-source-of-your-own-code"

    module: str

    def test_editions_differ_in_what_is_loaded(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It loads the same rows for different files, or `World.read` reads another table."""
        one = keep_edition(source, world, world.keys[0], 1, tmp_path)
        two = keep_edition(source, world, world.keys[0], 2, tmp_path)
        other = keep_edition(source, world, world.keys[1], 1, tmp_path)
        states = [
            loaded_at_once(source, world, files, tmp_path / "new.duckdb")
            for files in ([one], [two], [one, other])
        ]

        assert states[0] != states[1]
        assert states[0] != states[2]

    @pytest.mark.parametrize("edition", [1, 2])
    def test_every_row_is_loaded_as_it_is_written(
        self, source: Source, world: World, tmp_path: Path, edition: int
    ) -> None:
        """It rounds a number, mixes up columns, or drops or merges rows."""
        needs(world, "rows")
        key = world.keys[1]
        file = keep_edition(source, world, key, edition, tmp_path)
        load(source, tmp_path / "new.duckdb", [file], tmp_path / "scratch")

        assert world.found(tmp_path / "new.duckdb") == world.expected(key, edition)

    def test_the_numbers_of_rows_that_came_and_went_are_those_of_the_rows(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It counts the rows of whole files, or only those that came."""
        needs(world, "rows")
        key = world.keys[1]
        database = tmp_path / "new.duckdb"
        before: Sequence[object] = ()
        for edition in (1, 2, None):
            files = [keep_edition(source, world, key, edition, tmp_path)] if edition else []
            after = world.expected(key, edition) if edition else ()
            report = load(source, database, files, tmp_path / "scratch")
            came = sum(row not in before for row in after)
            went = sum(row not in after for row in before)
            counts = {"rows_added": report.rows_added, "rows_ended": report.rows_ended}

            assert counts == {"rows_added": came, "rows_ended": went}
            before = after

    def test_load_brings_the_raw_layer_to_exactly_the_files_given(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """Whatever came before: new, replaced, removed, and back again."""
        a, b, c = world.keys
        kept = {
            (key, edition): keep_edition(source, world, key, edition, tmp_path)
            for key in world.keys
            for edition in (1, 2)
        }
        database = tmp_path / "materia.duckdb"
        before: dict[str, int] = {}
        for after in (
            {b: 1},
            {a: 1, b: 1},
            {a: 1, b: 1, c: 1},
            {a: 1, b: 2, c: 1},
            {a: 2, b: 2, c: 2},
            {a: 2, c: 2},
            {a: 1, b: 1, c: 2},
            {c: 1},
            {},
            {a: 2, b: 1},
        ):
            files = [kept[key, edition] for key, edition in after.items()]
            report = load(source, database, files, tmp_path / "scratch")
            changed = sorted(key for key, edition in after.items() if before.get(key) != edition)

            assert sorted(report.loaded) == changed, f"from {before} to {after}"
            assert sorted(report.removed) == sorted(set(before) - set(after))
            assert dict(report.refused) == {}
            assert set(report.remarks) <= set(after), "a remark must be about a partition in use"
            at_once = loaded_at_once(source, world, files, tmp_path / "new.duckdb")
            assert world.read(database) == at_once, f"from {before} to {after}"
            before = after

    def test_loading_twice_does_nothing_the_second_time(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It does not compare `content` with what is loaded."""
        files = [keep_edition(source, world, key, 1, tmp_path) for key in world.keys]
        database = tmp_path / "materia.duckdb"
        load(source, database, files, tmp_path / "scratch")
        before = world.read(database)
        report = load(source, database, files, tmp_path / "scratch")

        assert (report.loaded, report.removed, dict(report.refused)) == ((), (), {})
        assert (report.rows_added, report.rows_ended) == (0, 0)
        assert world.read(database) == before

    def test_what_differs_from_what_is_published_is_affected_until_it_is_published(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """`affected` compares with the load before, and not with `request.published`, or it writes
        into what is published.
        """
        a, b, _ = world.keys
        old = [keep_edition(source, world, key, 1, tmp_path) for key in (a, b)]
        database, published = tmp_path / "materia.duckdb", tmp_path / "published.duckdb"
        load(source, database, old, tmp_path / "scratch")
        shutil.copyfile(database, published)
        new = [old[0], keep_edition(source, world, b, 2, tmp_path)]

        def affected() -> object:
            return load(source, database, new, tmp_path / "scratch", published=published).affected

        as_published = sha256_of(published)
        first, again = affected(), affected()
        assert sha256_of(published) == as_published, "readers have this database"
        shutil.copyfile(database, published)
        assert first == again
        assert affected() == ()
        if _names_dates(source, database, old, tmp_path):
            assert first, "a replaced partition affects nothing"

    def test_killed_before_any_line_of_loading_the_next_load_goes_on(
        self, source: Source, declared: Declared, world: World, tmp_path: Path
    ) -> None:
        """It notes a partition as loaded in another transaction than its rows."""
        old, new = self._two_states(source, world, tmp_path)
        start, database = tmp_path / "start.duckdb", tmp_path / "materia.duckdb"
        expected = loaded_at_once(source, world, new, tmp_path / "new.duckdb")
        load(source, start, old, tmp_path / "scratch")
        shutil.copyfile(start, database)
        whole = elsewhere(
            load_elsewhere,
            declared,
            database,
            new,
            tmp_path / "scratch",
            package=traced(self.module),
        )
        assert world.read(database) == expected
        killed = 0
        for point in kill_points(whole.lines, at_most=KILLS):
            _start_again(start, database)
            killed += elsewhere(
                load_elsewhere,
                declared,
                database,
                new,
                tmp_path / "scratch",
                package=traced(self.module),
                kill_before=point,
            ).killed
            load(source, database, new, tmp_path / "scratch")
            assert world.read(database) == expected, f"killed before line {point}"

        assert killed

    def test_killed_at_any_moment_the_next_load_goes_on(
        self, source: Source, declared: Declared, world: World, tmp_path: Path
    ) -> None:
        """It notes a partition as loaded in another transaction than its rows."""
        old, new = self._two_states(source, world, tmp_path)
        start, database = tmp_path / "start.duckdb", tmp_path / "materia.duckdb"
        expected = loaded_at_once(source, world, new, tmp_path / "new.duckdb")
        load(source, start, old, tmp_path / "scratch")
        shutil.copyfile(start, database)
        started = time.monotonic()
        elsewhere(load_elsewhere, declared, database, new, tmp_path / "scratch")
        seconds = time.monotonic() - started
        for index in range(TIMED_KILLS):
            _start_again(start, database)
            running = Elsewhere(load_elsewhere, declared, database, new, tmp_path / "scratch")
            time.sleep(seconds * (index + 1) / (TIMED_KILLS + 1))
            running.kill()
            load(source, database, new, tmp_path / "scratch")
            assert world.read(database) == expected

    def test_a_full_disk_harms_no_later_load(
        self, source: Source, declared: Declared, world: World, tmp_path: Path
    ) -> None:
        """It swallows an error of the database."""
        old, new = self._two_states(source, world, tmp_path)
        start, database = tmp_path / "start.duckdb", tmp_path / "materia.duckdb"
        expected = loaded_at_once(source, world, new, tmp_path / "new.duckdb")
        load(source, start, old, tmp_path / "scratch")
        refused = 0
        for limit in (0, 4096, 65536):
            _start_again(start, database)
            ending = elsewhere(
                load_elsewhere,
                declared,
                database,
                new,
                tmp_path / "scratch",
                file_size_limit=limit,
            )
            refused += isinstance(ending.error, MateriaError)
            load(source, database, new, tmp_path / "scratch")
            assert world.read(database) == expected

        assert refused, "no write failed, so nothing was tested"

    def test_models_are_a_folder_of_sqlmesh_models_or_none(self, source: Source) -> None:
        """It returns a folder that is not in the package."""
        folder = source.models()
        if folder is not None:
            files = [path for path in folder.rglob("*") if path.suffix in {".sql", ".py"}]
            assert files, f"{folder} has no models"

    def _two_states(
        self, source: Source, world: World, store: Path
    ) -> tuple[list[Kept], list[Kept]]:
        """One partition is replaced, one removed and one added."""
        a, b, c = world.keys
        old = [keep_edition(source, world, key, 1, store) for key in (a, b)]
        new = [
            keep_edition(source, world, a, 2, store),
            keep_edition(source, world, c, 1, store),
        ]
        return old, new


def _start_again(start: Path, database: Path) -> None:
    database.with_name(f"{database.name}.wal").unlink(missing_ok=True)
    shutil.copyfile(start, database)


def _names_dates(source: Source, database: Path, files: Sequence[Kept], folder: Path) -> bool:
    """Whether the source has incremental models: a first load affects all their dates."""
    new = database.with_name("first.duckdb")
    return bool(load(source, new, files, folder / "scratch").affected)
