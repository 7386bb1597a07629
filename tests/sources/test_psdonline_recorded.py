"""What an extract records of a server that goes wrong, and how the next one gets out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.psd import balances, zip_rows
from fakes.psd_damage import DAMAGES
from fakes.psd_november import ARCHIVE, NOVEMBER, ROWS
from fakes.s3 import S3Server
from fakes.s3_runs import machines
from fakes.usda import START, Fault, UsdaServer
from materia.data import Known
from materia.protocols import Sink
from materia_duckdb.sink import DuckDBSink
from materia_psdonline.source import PsdOnline
from materia_runner.messages.events import Event, Log
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.worker.extract import extract

KEY = "2025-11/psd_alldata"
OTHER = zip_rows(balances("2025-11", seed=1))


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture(params=["duckdb", "s3"])
def open_sink(
    request: pytest.FixtureRequest, tmp_path: Path, store: S3Server
) -> Callable[[], Sink]:
    """Open the sink anew, as each run does."""
    if request.param == "s3":
        on = machines(store, store.new_bucket(), tmp_path)
        return lambda: on("laptop")
    return lambda: DuckDBSink(database=tmp_path / "x.duckdb", raw=tmp_path / "raw")


class Runs:
    """Extracts of one server into one sink."""

    def __init__(self, source: PsdOnline, open_sink: Callable[[], Sink], folder: Path) -> None:
        self._source = source
        self._open_sink = open_sink
        self._folder = folder
        self.warnings: list[str] = []

    def extract(self, *, everything: bool = False) -> dict[str, object]:
        """One more run."""
        self.warnings = []
        workspace = self._folder / "workspace"
        workspace.mkdir(exist_ok=True)
        request = WorkerRequest(
            run="run",
            stage="extract",
            pipeline="psdonline",
            sources=("psdonline",),
            sink="sink",
            settings={},
            secrets={},
            directory=self._folder,
            workspace=workspace,
            everything=everything,
        )
        return dict(extract({"psdonline": self._source}, self._open_sink(), request, self._hear))

    def known(self) -> Known:
        return self._open_sink().known("psdonline")[KEY]

    def content(self) -> bytes | None:
        """The bytes in use."""
        raw = self.known().raw
        if raw is None:
            return None
        path = self._open_sink().find_raw("psdonline", KEY, raw.file, raw.sha256)
        assert path is not None
        return path.read_bytes()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Log):
            self.warnings.append(event.message)


@pytest.fixture
def runs(
    usda: UsdaServer,
    open_source: Callable[..., PsdOnline],
    open_sink: Callable[[], Sink],
    tmp_path: Path,
) -> Runs:
    """Extracts of three releases, of which the one of November is the server's to spoil."""
    for month in ("2025-08", "2025-09"):
        usda.publish(f"{month.replace('-', '/')}/psd_alldata_csv.zip", zip_rows(balances(month)))
    return Runs(open_source(usda.base_url, first_release="2025-08"), open_sink, tmp_path)


@pytest.mark.parametrize("kind", ["unannounced", "understated"])
@pytest.mark.parametrize("bad_runs", of_each_kind([1, 3], 3))
def test_a_release_that_was_cut_on_its_way_comes_whole_as_soon_as_the_way_is_good(
    usda: UsdaServer, runs: Runs, kind: str, bad_runs: int
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind=kind, path=NOVEMBER, after=900))  # type: ignore[arg-type]
    for _ in range(bad_runs):
        runs.extract()
    usda.heal()
    mended = runs.extract()

    assert mended["fetched"] == 1
    assert runs.content() == ARCHIVE
    assert runs.known().refused is None


def test_a_release_in_use_stays_in_use_with_its_tag_while_its_successor_arrives_cut(
    usda: UsdaServer, runs: Runs
) -> None:
    first = usda.publish(NOVEMBER, ARCHIVE)
    runs.extract()
    usda.publish(NOVEMBER, OTHER)
    usda.fail(Fault(kind="unannounced", path=NOVEMBER, after=900))
    broken = runs.extract()

    assert broken["failed"] == 1
    assert (runs.known().etag, runs.content()) == (first.etag, ARCHIVE)


def test_a_replaced_release_is_fetched_although_the_server_says_304_under_its_new_tag(
    usda: UsdaServer, runs: Runs
) -> None:
    usda.publish(NOVEMBER, ARCHIVE, modified=START)
    runs.extract()
    file = usda.publish(NOVEMBER, OTHER, modified=START + timedelta(microseconds=1))
    usda.fail(Fault(kind="by the date", path=NOVEMBER))
    runs.extract()

    assert (runs.known().etag, runs.content()) == (file.etag, OTHER)


def test_everything_is_asked_for_without_conditions_and_is_unchanged_all_the_same(
    usda: UsdaServer, runs: Runs
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    runs.extract()
    before = runs.known()
    count = len(usda.requests)
    again = runs.extract(everything=True)
    asked = usda.since(count)

    assert (again["unchanged"], again["fetched"]) == (3, 0)
    assert not any({"if-none-match", "if-modified-since"} & one.headers.keys() for one in asked)
    assert sum(one.status == 200 for one in asked) == 3
    assert (runs.known().raw, runs.known().etag) == (before.raw, before.etag)


def test_everything_brings_what_a_wrong_tag_has_hidden(usda: UsdaServer, runs: Runs) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE)
    runs.extract()
    # The server has new content under the old tag: nothing shows it.
    usda.files[NOVEMBER] = type(file)(content=OTHER, modified=file.modified)
    assert runs.extract()["unchanged"] == 3
    runs.extract(everything=True)

    assert runs.content() == OTHER


@pytest.mark.parametrize("how", ["a page", "cut short"])
def test_a_damaged_file_is_a_failure_once_and_then_a_warning_and_is_asked_for_at_each_run(
    usda: UsdaServer, runs: Runs, how: str
) -> None:
    usda.publish(NOVEMBER, DAMAGES[how](ROWS))
    first, second, third = (runs.extract() for _ in range(3))
    asked = [one for one in usda.requests if one.path == NOVEMBER]

    assert (first["refused"], second["refused"], third["refused"]) == (1, 0, 0)
    assert len(runs.warnings) == 1
    assert "is still in quarantine" in runs.warnings[0]
    assert [one.status for one in asked] == [200] * 4
    assert not any("if-none-match" in one.headers for one in asked)


def test_a_whole_file_of_no_use_is_downloaded_twice_and_then_no_more(
    usda: UsdaServer, runs: Runs
) -> None:
    usda.publish(NOVEMBER, DAMAGES["a second member"](ROWS))
    results = [runs.extract() for _ in range(4)]
    asked = [one for one in usda.requests if one.path == NOVEMBER]

    assert [one["refused"] for one in results] == [1, 0, 0, 0]
    assert [one.status for one in asked] == [200, 200, 304, 304]


@pytest.mark.parametrize("etag", ['"caf\xe9"', '"\x7f"', "*", '""'])
def test_a_tag_that_cannot_be_sent_back_ends_no_later_run(
    usda: UsdaServer, runs: Runs, etag: str
) -> None:
    headers = {"ETag": etag, "Last-Modified": "Fri, 14 Nov 2025 00:00:00 GMT"}
    usda.fail(Fault(kind="status", path=NOVEMBER, status=200, headers=headers, body=ARCHIVE))
    first, second = runs.extract(), runs.extract()

    assert (first["fetched"], second["failed"]) == (3, 0)
    assert second["in_use"] == 3


@pytest.mark.parametrize("status", of_each_kind([403, 404, 410], 404))
def test_a_release_that_is_denied_stays_in_use_and_is_asked_for_again_until_it_is_back(
    usda: UsdaServer, runs: Runs, status: int
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    runs.extract()
    usda.fail(Fault(kind="status", path=NOVEMBER, status=status))
    denied = runs.extract()
    [warning] = runs.warnings
    kept = runs.known(), runs.content()
    usda.heal()
    count = len(usda.requests)
    back = runs.extract()

    assert (denied["denied"], denied["unchanged"], denied["in_use"]) == (1, 2, 3)
    assert denied["problems"] == []
    assert warning.startswith(
        f"{KEY} stays in use, and the next run checks it again: {usda.base_url}/"
    )
    assert f"the server answers {status} " in warning
    assert (kept[0].denied, kept[1]) == (True, ARCHIVE)
    assert NOVEMBER in [one.path for one in usda.since(count)]
    assert (back["unchanged"], back["denied"], runs.known().denied) == (3, 0, False)


def test_an_old_release_that_is_denied_is_asked_for_at_the_next_run(
    usda: UsdaServer, open_source: Callable[..., PsdOnline], tmp_path: Path
) -> None:
    """Old ones are asked for once a month only."""
    months = [f"{year}-{month:02}" for year in (2024, 2025) for month in range(1, 13)][:20]
    paths = [f"{month.replace('-', '/')}/psd_alldata_csv.zip" for month in months]
    for month, path in zip(months, paths, strict=True):
        usda.publish(path, zip_rows(balances(month)))
    source = open_source(usda.base_url, first_release=months[0])
    sink = DuckDBSink(database=tmp_path / "x.duckdb", raw=tmp_path / "raw")
    runs = Runs(source, lambda: sink, tmp_path)
    runs.extract()
    usda.fail(Fault(kind="status", path=paths[0], status=410))
    runs.extract(everything=True)
    count = len(usda.requests)
    again = runs.extract()

    asked = [one.path for one in usda.since(count)]
    assert paths[0] in asked
    assert paths[1] not in asked
    assert again["denied"] == 1


def test_a_server_that_denies_all_it_had_is_a_failure(usda: UsdaServer, runs: Runs) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    runs.extract()
    usda.fail(Fault(kind="status", status=404))
    denied = runs.extract()

    assert denied["in_use"] == 3
    assert isinstance(denied["problems"], list)
    assert len(denied["problems"]) == 3
