"""An API with pages: the records behind the last cursor are a partition of each run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from fakes.readings import GaugeApi, gauge_api, readings
from fakes.readings import source as declared
from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    Known,
    LoadRequest,
    PartitionsRequest,
    Refused,
)
from materia.errors import SourceError
from materia.hookspecs import Opening
from materia_http.download import Patience
from materia_snapshots import Api, Months, Page, Pages
from materia_snapshots.declaration import Snapshots
from materia_snapshots.settings import Settings
from materia_snapshots.source import SnapshotSource

NOW = datetime(2026, 3, 20, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[GaugeApi]:
    with gauge_api() as api:
        api.readings = [{"id": str(number), "level": number / 2} for number in range(5)]
        yield api


class Pipeline:
    """Runs of the source, with what a sink remembers and keeps."""

    def __init__(self, api: GaugeApi, folder: Path, source: Snapshots = declared) -> None:
        since = getattr(source.partitions, "since", "")
        settings = Settings(base=api.url, folder=None, since=since, accept=())
        self.source = SnapshotSource(source, settings, Patience(first_wait=0.01))
        self.folder = folder
        self.known: dict[str, Known] = {}

    def run(self, *, everything: bool = False) -> list[FetchResult]:
        request = PartitionsRequest(known=self.known, now=NOW, everything=everything)
        results = []
        for partition in self.source.partitions(request):
            result = self.source.fetch(
                FetchRequest(
                    partition=partition,
                    known=self.known.get(partition.key),
                    directory=self.folder,
                )
            )
            known = Known(url=partition.url, checked_at=NOW)
            if isinstance(result, Fetched):
                result.path.replace(self.folder / result.raw.sha256)
                known = replace(known, raw=result.raw)
            self.known[partition.key] = known
            results.append(result)
        return results

    def rows(self) -> list[tuple[object, ...]]:
        files = tuple(one.raw for _, one in sorted(self.known.items()) if one.raw)
        database = self.folder / "materia.duckdb"
        report = self.source.load(
            LoadRequest(
                database=database,
                files=files,
                find=lambda _partition, _file, sha256: self.folder / sha256,
                directory=self.folder,
            )
        )
        assert dict(report.refused) == {}
        with duckdb.connect(str(database), read_only=True) as connection:
            return connection.execute(
                "SELECT partition, id, level::VARCHAR FROM raw.readings_row ORDER BY id"
            ).fetchall()


def test_each_run_goes_on_where_the_one_before_ended(api: GaugeApi, tmp_path: Path) -> None:
    pipeline = Pipeline(api, tmp_path)
    pipeline.run()
    assert api.asked == ["0", "2", "4"]
    api.readings += [{"id": "5", "level": "2.500"}, {"id": "6", "level": None}]
    pipeline.run()

    assert api.asked[3:] == ["5"]
    assert pipeline.rows() == [
        ("000001", "0", "0.000"),
        ("000001", "1", "0.500"),
        ("000001", "2", "1.000"),
        ("000001", "3", "1.500"),
        ("000001", "4", "2.000"),
        ("000002", "5", "2.500"),
        ("000002", "6", None),
    ]


def test_a_run_without_new_records_keeps_nothing_and_asks_from_the_same_cursor(
    api: GaugeApi, tmp_path: Path
) -> None:
    pipeline = Pipeline(api, tmp_path)
    pipeline.run()

    assert [type(one) for one in pipeline.run()] == [Absent]
    assert [type(one) for one in pipeline.run()] == [Absent]
    assert api.asked[3:] == ["5", "5"]
    assert len(pipeline.rows()) == 5


def test_a_fetch_that_breaks_goes_on_at_the_last_cursor(api: GaugeApi, tmp_path: Path) -> None:
    api.fault, api.faults_at = "page", 3
    pipeline = Pipeline(api, tmp_path)
    pipeline.run()

    assert api.asked == ["0", "2", "4", "4"]
    assert len(pipeline.rows()) == 5


def test_an_answer_that_fails_for_a_moment_is_asked_for_again(
    api: GaugeApi, tmp_path: Path
) -> None:
    api.fault, api.faults_at = "down", 1

    assert isinstance(Pipeline(api, tmp_path).run()[0], Fetched)
    assert api.asked == ["0", "0", "2", "4"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("down", "503"),
        ("page", "which is no JSON"),
        ("other", "another form than expected: KeyError"),
        ("loop", "gives the cursor '0' twice"),
    ],
)
def test_an_api_that_answers_badly_is_an_error_and_leaves_nothing(
    fault: str, said: str, api: GaugeApi, tmp_path: Path
) -> None:
    api.fault = fault
    with pytest.raises(SourceError, match=said):
        Pipeline(api, tmp_path).run()

    assert list(tmp_path.iterdir()) == []


def test_an_api_without_the_thing_is_an_error_unless_its_status_is_declared(
    api: GaugeApi, tmp_path: Path
) -> None:
    api.fault = "gone"
    with pytest.raises(SourceError, match=r"answers 404; .* declare Pages\(..., absent=\(404,\)\)"):
        Pipeline(api, tmp_path).run()
    form = Pages(readings, absent=(404,))
    source = replace(declared, form=form)

    assert Pipeline(api, tmp_path, source).run() == [Absent(reason="the server answers 404")]


def test_more_records_than_the_limit_are_refused(api: GaugeApi, tmp_path: Path) -> None:
    (result,) = Pipeline(api, tmp_path, replace(declared, most_bytes=90)).run()

    assert isinstance(result, Refused)
    assert result.reason == "has more than 90 bytes of records"


def with_a_key(api: Api) -> Iterator[Page]:
    answer = api.get("readings", after=0, key=api.secrets["GAUGE_KEY"], headers={"X-Key": "k"})
    yield Page(answer["readings"], answer["next"])


def test_an_api_has_the_secrets_of_the_declaration_and_no_message_shows_them(
    api: GaugeApi, tmp_path: Path
) -> None:
    keyed = replace(declared, form=Pages(with_a_key), secrets=("GAUGE_KEY",))
    plugin = keyed.plugin()
    assert plugin.secrets == ("GAUGE_KEY",)
    opening = Opening(
        secrets={"GAUGE_KEY": "s3cret"}, settings={"url": api.url}, directory=tmp_path
    )
    source = plugin.open(opening)
    (partition,) = source.partitions(PartitionsRequest(known={}, now=NOW))
    request = FetchRequest(partition=partition, known=None, directory=tmp_path)
    assert isinstance(source.fetch(request), Fetched)
    api.fault = "forbidden"
    with pytest.raises(SourceError, match="the server answers 401") as raised:
        source.fetch(request)

    assert api.keys == ["s3cret", "s3cret"]
    assert "s3cret" not in str(raised.value)


def of_a_month(api: Api) -> Iterator[Page]:
    assert api.period.first is not None
    yield Page([{"id": f"{api.period.first:%B}", "level": 1}], "")


def test_a_partition_by_date_has_the_pages_of_its_period(api: GaugeApi, tmp_path: Path) -> None:
    by_month = replace(declared, partitions=Months("", since="2026-02"), form=Pages(of_a_month))
    pipeline = Pipeline(api, tmp_path, by_month)
    pipeline.run()

    assert pipeline.rows() == [("2026-02", "February", "1.000"), ("2026-03", "March", "1.000")]


def test_a_run_that_has_its_records_is_not_asked_for_again_even_with_everything(
    api: GaugeApi, tmp_path: Path
) -> None:
    pipeline = Pipeline(api, tmp_path)
    pipeline.run()
    api.readings.append({"id": "5", "level": "2.500"})
    pipeline.run()
    pipeline.run(everything=True)

    assert [number for _, number, _ in pipeline.rows()] == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("more", [0, 2])
def test_a_refused_run_that_is_fetched_again_has_the_records_of_the_later_ones_alone(
    api: GaugeApi, tmp_path: Path, more: int
) -> None:
    pipeline = Pipeline(api, tmp_path)
    for number in range(4):
        api.readings += [{"id": str(5 + number), "level": 1}]
        pipeline.run()
    assert len(pipeline.rows()) == 9
    pipeline.known["000002"] = replace(pipeline.known["000002"], raw=None, refused="is odd")
    api.readings += [{"id": str(9 + number), "level": 1} for number in range(more)]
    for _ in range(2):
        pipeline.run()
        assert [(key, name) for key, name, _ in sorted(pipeline.rows(), key=by_number)] == [
            *(("000001", str(number)) for number in range(6)),
            *(("000002", str(number)) for number in range(6, 9 + more)),
        ]
    api.readings += [{"id": "20", "level": 1}]
    pipeline.run()

    assert [row[:2] for row in pipeline.rows() if row[1] == "20"] == [("000005", "20")]
    assert len(pipeline.rows()) == 10 + more


def test_two_refused_runs_lose_no_record_and_have_none_twice(api: GaugeApi, tmp_path: Path) -> None:
    pipeline = Pipeline(api, tmp_path)
    for number in range(5):
        api.readings += [{"id": str(5 + number), "level": 1}]
        pipeline.run()
    for key in ("000002", "000004"):
        pipeline.known[key] = replace(pipeline.known[key], raw=None, refused="is odd")
    numbers = [
        sorted(int(str(name)) for _, name, _ in pipeline.rows()) for _ in range(3) if pipeline.run()
    ]

    assert numbers == [[*range(10)]] * 3


def by_number(row: tuple[object, ...]) -> int:
    return int(str(row[1]))


def answered(api: Api) -> Iterator[Page]:
    """Whatever the API says."""
    answer = api.get("readings?limit=9", after=api.cursor or 0, until=None)
    records = [{"id": str(int(one["id"])), "level": 1} for one in answer["readings"]]
    yield Page(records, answer["next"])


ODD_ANSWERS: dict[str, tuple[bytes, str]] = {
    "no cursor": (b'{"readings": [{"id": "1"}], "next": ""}', "give each Page its cursor"),
    "a number": (b'{"readings": [], "next": 2}', "cursor of a Page must be text, is 2"),
    "null": (b'{"readings": [], "next": null}', "cursor of a Page must be text, is None"),
    "half a character": (b'{"readings": [], "next": "\\ud800"}', "another form than expected"),
    "infinity": (b'{"readings": [{"id": Infinity}], "next": "1"}', "another form than expected"),
    "no end of brackets": (b"[" * 200_000, "which is no JSON"),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_an_odd_answer_is_an_error_that_names_it(name: str, api: GaugeApi, tmp_path: Path) -> None:
    content, said = ODD_ANSWERS[name]
    api.content = content
    with pytest.raises(SourceError, match=said):
        Pipeline(api, tmp_path, replace(declared, form=Pages(answered))).run()

    assert list(tmp_path.iterdir()) == []


def without_some(api: Api) -> Iterator[Page]:
    """Pages of which every other one, and the last one, have no cursor."""
    start = int(api.cursor or 0)
    while True:
        answer = api.get("readings", after=start)
        start = int(answer["next"])
        more = answer["more"] and start % 4 == 0
        yield Page(answer["readings"], str(start) if more else "")
        if not answer["more"]:
            return


def test_a_run_whose_last_page_has_no_cursor_is_an_error_and_no_rows_twice(
    api: GaugeApi, tmp_path: Path
) -> None:
    pipeline = Pipeline(api, tmp_path, replace(declared, form=Pages(without_some)))
    with pytest.raises(SourceError, match="give each Page its cursor, the last one too"):
        pipeline.run()

    assert list(tmp_path.iterdir()) == []


def test_pages_behind_the_last_cursor_do_not_stay_when_they_come_again(
    api: GaugeApi, tmp_path: Path
) -> None:
    api.readings += [{"id": str(number), "level": 1} for number in range(5, 8)]
    api.fault, api.faults_at = "page", 4
    form = Pages(without_some)
    month = replace(declared, partitions=Months("", since="2026-03"), form=form)
    pipeline = Pipeline(api, tmp_path, month)
    pipeline.run()

    assert api.asked == ["0", "2", "4", "6", "4", "6"]
    assert [row[1] for row in pipeline.rows()] == [*map(str, range(8))]


def test_a_page_that_is_not_there_behind_others_is_an_error(api: GaugeApi, tmp_path: Path) -> None:
    api.fault, api.faults_at = "gone", 2
    source = replace(declared, form=Pages(readings, absent=(404,)))
    with pytest.raises(SourceError, match="answers 404 after some pages, so others are missing"):
        Pipeline(api, tmp_path, source).run()

    assert list(tmp_path.iterdir()) == []


def test_the_query_of_a_path_stays_beside_the_parameters(api: GaugeApi, tmp_path: Path) -> None:
    Pipeline(api, tmp_path, replace(declared, form=Pages(answered))).run()

    assert api.given == [{"limit": ["9"], "after": ["0"]}]
