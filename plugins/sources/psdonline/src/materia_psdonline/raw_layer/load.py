"""Load the raw layer incrementally: which releases to load or remove, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import duckdb
from materia.data import LoadReport, LoadRequest, RawFile
from materia.errors import SourceError
from materia.kit.sql import literal

from materia_psdonline.raw_layer import history
from materia_psdonline.raw_layer.history import Loaded
from materia_psdonline.raw_layer.release_diff import (
    NotTheseLinesError,
    Step,
    replace_lines,
    replace_rows,
)
from materia_psdonline.raw_layer.remarks import find_remarks
from materia_psdonline.raw_layer.validity import Moved, ReleasePosition
from materia_psdonline.release_file.bad_lines import find_bad_lines
from materia_psdonline.release_file.csv_rows import LaterError, TwiceError
from materia_psdonline.release_file.csv_text import has_mixed_line_ends, unpacked
from materia_psdonline.release_file.line_diff import LineTooLongError
from materia_psdonline.release_file.zip_member import ArchiveError
from materia_psdonline.releases import key_of, release_of

# DuckDB's share of the memory. The text of one release (198 MB) is beside it during a full parse.
MEMORY_LIMIT = "400MB"


def load(request: LoadRequest) -> LoadReport:
    """Load the files into the raw layer; see `materia.Source.load`."""
    done: list[str] = []
    removed: list[str] = []
    refused: dict[str, str] = {}
    came = went = 0
    with _connect(request.database, request.directory) as connection:
        history.create_tables(connection)
        for place in _unwanted(history.loaded(connection), request.files):
            with _transaction(connection):
                moved = history.remove_release(connection, place)
            removed.append(key_of(place.release, place.archive))
            came, went = came + moved.came, went + moved.went
        todo = differing(history.loaded(connection), request.files)
        for count, raw in enumerate(todo, 1):
            if count == len(todo):
                # Write the last one into the database file at once, not into a log beside it.
                connection.execute("SET checkpoint_threshold = '1KB'")
            try:
                moved = _load_one(connection, _step(request, raw, history.loaded(connection)))
            except ArchiveError as error:
                refused[raw.partition] = f"{raw.url}: {error}"
            else:
                done.append(raw.partition)
                came, went = came + moved.came, went + moved.went
            request.loaded(raw.partition, len(todo) - count)
        with _attached(connection, request.published) as published:
            affected = _affected(connection, published)
            remarks = find_remarks(connection, affected, published)
    return LoadReport(
        loaded=tuple(done),
        removed=tuple(removed),
        affected=affected,
        rows_added=came,
        rows_ended=went,
        refused=refused,
        remarks=remarks,
    )


def differing(loaded: Sequence[Loaded], files: Sequence[RawFile]) -> list[RawFile]:
    """The files whose content is not loaded yet, oldest release first."""
    contents = {(entry.release, entry.archive): entry.content for entry in loaded}
    return sorted(
        (raw for raw in files if contents.get(release_of(raw.partition)) != raw.content),
        key=lambda raw: raw.partition,
    )


def _unwanted(loaded: Sequence[Loaded], files: Sequence[RawFile]) -> Iterator[ReleasePosition]:
    """The loaded releases that are not among the files, newest first."""
    wanted = {release_of(raw.partition) for raw in files}
    left = list(loaded)
    for entry in sorted(loaded, key=lambda entry: entry.release, reverse=True):
        if (entry.release, entry.archive) not in wanted:
            yield _place(left, entry.release, entry.archive)
            left.remove(entry)


@contextmanager
def _attached(
    connection: duckdb.DuckDBPyConnection, published: Path | None
) -> Iterator[str | None]:
    """The schema of the published raw layer while this block runs, or None."""
    if published is None:
        yield None
        return
    connection.execute(f"ATTACH {literal(str(published))} AS published (READ_ONLY)")
    try:
        yield "published.raw"
    finally:
        connection.execute("DETACH published")


def _affected(connection: duckdb.DuckDBPyConnection, published: str | None) -> tuple[date, ...]:
    """Releases whose difference to the one before was written since the last publish.

    This includes a load that was killed before the models were built, and a load that undid one.
    """
    before = history.touched(connection, published) if published else set()
    return tuple(sorted({release for release, _ in history.touched(connection) - before}))


def _step(request: LoadRequest, raw: RawFile, loaded: Sequence[Loaded]) -> Step:
    release, archive = release_of(raw.partition)
    place = _place(loaded, release, archive)
    path = request.find(raw.partition, raw.file, raw.sha256)
    if path is None:
        raise SourceError(
            f"{raw.partition}: the raw file {raw.file} with SHA-256 {raw.sha256} is not kept any "
            "more; fetch it again with `materia run --everything`"
        )
    beside = None
    if place.start is not None:
        sha256 = next(
            entry.sha256
            for entry in loaded
            if (entry.release, entry.archive) == (place.start, archive)
        )
        beside = request.find(key_of(place.start, archive), raw.file, sha256)
    return Step(raw=raw, path=path, place=place, beside=beside, directory=request.directory)


def _place(loaded: Sequence[Loaded], release: date, archive: str) -> ReleasePosition:
    same = [entry.release for entry in loaded if entry.archive == archive]
    return ReleasePosition(
        archive=archive,
        release=release,
        before=max((other for other in same if other < release), default=None),
        after=min((other for other in same if other > release), default=None),
        loaded=release in same,
    )


def _load_one(connection: duckdb.DuckDBPyConnection, step: Step) -> Moved:
    """Load one release in one transaction."""
    ways: list[Callable[[duckdb.DuckDBPyConnection, Step], Moved]] = [replace_lines, replace_rows]
    refused: ArchiveError | None = None
    while ways:
        replace = ways.pop(0)
        try:
            with _transaction(connection):
                moved = replace(connection, step)
                history.record_release(connection, step.place, step.raw)
                return moved
        except (LineTooLongError, NotTheseLinesError):
            continue
        except ArchiveError as error:
            refused = error
            if replace is replace_rows and _may_be_read_otherwise(step):
                ways = [partial(replace_rows, one_line_end=True)]
    if refused is None:
        raise AssertionError("reading all rows returns or refuses")
    raise _with_lines(step, refused) from refused


def _may_be_read_otherwise(step: Step) -> bool:
    try:
        return has_mixed_line_ends(step.path, step.raw.file)
    except ArchiveError:  # damaged, and refused for that
        return False


def _with_lines(step: Step, error: ArchiveError) -> ArchiveError:
    """The reason why a release is refused, with the bad lines if there are any."""
    key = error.key if isinstance(error, TwiceError) else None
    try:
        with unpacked(step.path, step.raw.file, step.directory) as name:
            found = find_bad_lines(name, step.place.release, key)
    except ArchiveError:  # damage is the reason then
        return error
    if found is None:
        return error
    whole = isinstance(error, TwiceError | LaterError)  # their messages say more than line numbers
    return ArchiveError(f"{error}: {found}" if whole else found)


@contextmanager
def _connect(database: Path, directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(
        str(database),
        config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(directory)},
    ) as connection:
        yield connection


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
