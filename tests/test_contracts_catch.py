"""The contracts of sources and sinks notice a plugin that believes too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.psd_world import PsdWorld
from fakes.usda import UsdaServer
from materia.data import (
    Absent,
    FetchRequest,
    FetchResult,
    Known,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
    Refused,
    Unchanged,
)
from materia.errors import SourceError
from materia_duckdb.sink import DuckDBSink
from materia_http.download import Patience
from materia_psdonline.settings import read_settings
from materia_psdonline.source import PsdOnline
from materia_testing.contracts.sinks.raw import RawFilesContract
from materia_testing.contracts.sources.fetch import FetchContract

FAILS = (AssertionError, pytest.fail.Exception)
Fetch = Callable[[FetchRequest], FetchResult]


class Wrong:
    """A source that keeps its promises but for what *change* makes of a request."""

    def __init__(
        self, right: PsdOnline, change: Callable[[FetchRequest, Fetch], FetchResult] | None = None
    ) -> None:
        self._right = right
        self._change = change

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        """Whatever is not known, and no more."""
        return [
            one
            for one in self._right.partitions(PartitionsRequest(known={}, now=request.now))
            if self._change is not None or one.key not in request.known
        ]

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        return self._change(request, self._right.fetch) if self._change else Absent()

    def load(self, request: LoadRequest, /) -> LoadReport:
        return self._right.load(request)

    def models(self) -> Path | None:
        return None


def believes_304(request: FetchRequest, fetch: Fetch) -> FetchResult:
    """Whatever is asked for with an ETag is unchanged, under the newest one."""
    if request.known is not None and request.known.etag:
        return Unchanged(etag='"newest"', last_modified=None)
    return fetch(request)


def takes_what_came(request: FetchRequest, fetch: Fetch) -> FetchResult:
    """What broke off is the file."""
    try:
        return fetch(request)
    except SourceError:
        path = request.directory / "part.zip"
        path.write_bytes(b"PK")
        return Refused(reason="is cut short", etag='"whole"', last_modified=None, path=path)


def remembers_refusals(request: FetchRequest, fetch: Fetch) -> FetchResult:
    """What was refused once is never read again."""
    if request.known is not None and request.known.refused is not None:
        return Unchanged(etag=None, last_modified=None)
    return fetch(request)


def asks_nobody(request: FetchRequest, fetch: Fetch) -> FetchResult:
    """What is kept is unchanged."""
    if request.known is not None and request.known.raw is not None:
        return Unchanged(etag=request.known.raw.etag, last_modified=None)
    return fetch(request)


@pytest.fixture
def world() -> Iterator[PsdWorld]:
    with UsdaServer() as usda:
        yield PsdWorld(usda)


@pytest.fixture
def right(world: PsdWorld, tmp_path: Path) -> PsdOnline:
    settings = {**world.settings, "files": ["psd_alldata_csv.zip"]}
    return PsdOnline(read_settings(settings, directory=tmp_path), Patience(first_wait=0.02))


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (believes_304, "test_not_modified_is_not_believed_of_another_file"),
        (believes_304, "test_an_etag_that_still_matches_costs_one_request_and_no_bytes"),
        (asks_nobody, "test_what_is_asked_for_without_validators_is_read_again"),
        (asks_nobody, "test_a_changed_file_is_fetched_with_another_content"),
        (remembers_refusals, "test_a_refused_file_that_nothing_confirmed_is_read_again"),
        (takes_what_came, "test_an_answer_that_breaks_off_never_stays_under_its_final_name"),
    ],
)
def test_a_source_that_believes_too_much_breaks_a_promise(
    world: PsdWorld,
    right: PsdOnline,
    tmp_path: Path,
    change: Callable[[FetchRequest, Fetch], FetchResult],
    promise: str,
) -> None:
    with pytest.raises(FAILS):
        getattr(FetchContract(), promise)(Wrong(right, change), world, tmp_path / "wrong")
    world.heal()
    getattr(FetchContract(), promise)(right, world, tmp_path / "right")


def test_a_source_that_stays_with_its_refusal_of_a_torn_file_breaks_a_promise(
    world: PsdWorld, right: PsdOnline, tmp_path: Path
) -> None:
    def change(request: FetchRequest, fetch: Fetch) -> FetchResult:
        return takes_what_came(request, lambda one: remembers_refusals(one, fetch))

    with pytest.raises(FAILS):
        FetchContract().test_an_answer_that_ends_early_without_a_length_is_not_taken_for_the_file(
            Wrong(right, change), world, tmp_path
        )


def test_a_source_that_asks_only_for_what_is_new_breaks_a_promise(
    world: PsdWorld, right: PsdOnline, tmp_path: Path
) -> None:
    class Forgetful(Wrong):
        def fetch(self, request: FetchRequest, /) -> FetchResult:
            return right.fetch(request)

    with pytest.raises(FAILS):
        FetchContract().test_what_was_refused_or_denied_is_asked_for_again(
            Forgetful(right), world, tmp_path
        )


class Careless(DuckDBSink):
    """Remembers as *change* has it."""

    change: Callable[[Known], Known]

    def known(self, source: str, /) -> Mapping[str, Known]:
        return {key: type(self).change(one) for key, one in super().known(source).items()}


class Denying(DuckDBSink):
    """Takes what is denied for what was taken away."""

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        removed = Absent(removed=True) if isinstance(result, Absent) else result
        super().record(source, partition, removed)


class Forgets(Careless):
    change = staticmethod(lambda known: replace(known, refused_sha256=None))


class KeepsTags(Careless):
    change = staticmethod(lambda known: replace(known, etag=known.etag or '"1"'))


class StaysDenied(Careless):
    change = staticmethod(lambda known: replace(known, denied=known.raw is not None))


@pytest.mark.parametrize(
    ("wrong", "promise", "more"),
    [
        (Forgets, "test_what_was_refused_stays_refused_while_it_is_unchanged", {}),
        (
            KeepsTags,
            "test_a_refused_fetch_leaves_the_file_before_it_in_use",
            {"content": b"<html>"},
        ),
        (
            StaysDenied,
            "test_a_denied_partition_that_is_there_again_is_denied_no_more",
            {"answer": "unchanged"},
        ),
    ],
)
def test_a_sink_that_remembers_wrongly_breaks_a_promise(
    tmp_path: Path, wrong: type[DuckDBSink], promise: str, more: dict[str, Any]
) -> None:
    def keep(sink: type[DuckDBSink]) -> None:
        folder = tmp_path / sink.__name__
        opened = sink(database=folder / "x.duckdb", raw=folder / "raw")
        getattr(RawFilesContract(), promise)(opened, folder / "in", **more)

    with pytest.raises(FAILS):
        keep(wrong)
    keep(DuckDBSink)


def test_a_sink_that_drops_what_is_denied_breaks_a_promise(tmp_path: Path) -> None:
    class Declared:
        def open(self) -> DuckDBSink:
            return DuckDBSink(database=tmp_path / "x.duckdb", raw=tmp_path / "raw")

    sink = Denying(database=tmp_path / "x.duckdb", raw=tmp_path / "raw")
    promise: Any = RawFilesContract.test_a_partition_that_the_source_denies_stays_in_use
    with pytest.raises(FAILS):
        promise(RawFilesContract(), sink, Declared(), tmp_path / "in")
