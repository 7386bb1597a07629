"""Extract of several sources: side by side, and one that fails takes nothing from the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes.folder_sink import FolderSink
from fakes.folder_source import FolderSource
from materia.data import FetchRequest, FetchResult, Partition, PartitionsRequest
from materia.errors import SourceError
from materia.protocols import Source
from materia_runner.messages.events import Event, Log, Progress
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.worker.extract import extract


class Meeting(FolderSource):
    """A source whose fetches wait until so many sources fetch at the same time."""

    def __init__(self, folder: Path, barrier: threading.Barrier) -> None:
        super().__init__(folder)
        self._barrier = barrier

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        self._barrier.wait(timeout=30)
        return super().fetch(request)


class Unlisted(FolderSource):
    """A source that cannot say which partitions there are."""

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        raise SourceError("the index cannot be read")


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sink = FolderSink(folder / "out")
        self.heard: list[Event] = []
        for name in ("a", "b"):
            (folder / name).mkdir()
            (folder / name / "2024-01.csv").write_text(f"{name},1\n")

    def extract(self, sources: dict[str, Source]) -> dict[str, object]:
        request = WorkerRequest(
            run="r1",
            stage="extract",
            pipeline="a",
            sources=tuple(sources),
            sink="folder",
            settings={},
            secrets={},
            directory=self.folder,
            workspace=self.folder,
        )
        return dict(extract(sources, self.sink, request, self.heard.append))

    def kept(self, source: str) -> str | None:
        known = self.sink.known(source).get("2024-01")
        if known is None or known.raw is None:
            return None
        path = self.sink.find_raw(source, "2024-01", "lines.csv", known.raw.sha256)
        return None if path is None else path.read_text()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_sources_are_fetched_at_the_same_time_and_equal_names_never_meet(place: Place) -> None:
    barrier = threading.Barrier(2)

    result = place.extract(
        {name: Meeting(place.folder / name, barrier) for name in ("a", "b")},
    )

    assert (result["asked"], result["fetched"], result["failed"]) == (2, 2, 0)
    assert [place.kept("a"), place.kept("b")] == ["a,1\n", "b,1\n"]
    steps = [one for one in place.heard if isinstance(one, Progress) and one.unit == "partitions"]
    assert [(one.done, one.total) for one in steps] == [(1, 2), (2, 2)]


def test_a_source_that_cannot_be_listed_is_a_problem_while_its_files_are_in_use(
    place: Place,
) -> None:
    folders = {name: FolderSource(place.folder / name) for name in ("a", "b")}
    place.extract({**folders})
    (place.folder / "a/2024-01.csv").write_text("a,2\n")

    result = place.extract({"a": folders["a"], "b": Unlisted(place.folder / "b")})

    assert place.kept("a") == "a,2\n"
    assert result["problems"] == [
        {"source": "b", "partition": "", "url": "", "reason": "the index cannot be read"}
    ]


def test_a_source_without_any_file_is_an_error_after_the_others_are_kept(place: Place) -> None:
    with pytest.raises(SourceError, match=r"(?s)^b: no file could be fetched; .*index cannot be"):
        place.extract(
            {"a": FolderSource(place.folder / "a"), "b": Unlisted(place.folder / "b")},
        )

    assert place.kept("a") == "a,1\n"


def test_warnings_name_the_source(place: Place) -> None:
    (place.folder / "b/2024-01.csv").write_text("#remark one row is odd\nb,1\n")

    result = place.extract({name: FolderSource(place.folder / name) for name in ("a", "b")})

    assert [one.message for one in place.heard if isinstance(one, Log)] == [
        f"b 2024-01: {(place.folder / 'b/2024-01.csv').as_uri()}: one row is odd"
    ]
    assert isinstance(result["remarks"], list)
    assert [one["source"] for one in result["remarks"]] == ["b"]
