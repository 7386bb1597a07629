"""Raw tables that another version of a source made: all files are loaded anew."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from fakes.psd import balances
from fakes.releases import Releases
from materia.data import LoadReport, LoadRequest
from materia_psdonline.raw_layer.load import load as psdonline_load
from materia_runner.worker.load_anew import load_or_start_anew


class OfTheNextVersion:
    """A source whose table has a column more than that of the version before."""

    def __init__(self) -> None:
        self.loads = 0

    def load(self, request: LoadRequest, /) -> LoadReport:
        self.loads += 1
        with duckdb.connect(str(request.database)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS lines (month TEXT, value INTEGER)")
            connection.execute("INSERT INTO lines (month, value) VALUES ('2026-01', 1)")
        return LoadReport(loaded=("2026-01",))


def a_request(database: Path) -> LoadRequest:
    return LoadRequest(
        database=database,
        files=(),
        find=lambda _partition, _file, _sha256: None,
        directory=database.parent,
    )


def test_tables_of_another_version_are_replaced_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "work.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE lines (value INTEGER)")
    source = OfTheNextVersion()

    report, anew = load_or_start_anew(source, a_request(path))  # type: ignore[arg-type]  # load alone

    assert report.loaded == ("2026-01",)
    assert source.loads == 2
    assert anew.endswith("all files are loaded again")
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("FROM lines").fetchall() == [("2026-01", 1)]


def test_a_mistake_of_the_source_itself_is_no_reason_to_load_twice(tmp_path: Path) -> None:
    class Wrong(OfTheNextVersion):
        def load(self, request: LoadRequest, /) -> LoadReport:
            self.loads += 1
            with duckdb.connect(str(request.database)) as connection:
                connection.execute("SELECT nothing FROM nowhere")
            return LoadReport()

    source = Wrong()
    with pytest.raises(duckdb.CatalogException):
        load_or_start_anew(source, a_request(tmp_path / "work.duckdb"))  # type: ignore[arg-type]  # as above

    assert source.loads == 1


def test_raw_tables_of_psd_that_do_not_fit_come_back_row_for_row(tmp_path: Path) -> None:
    class Psd:
        load = staticmethod(psdonline_load)

    releases = Releases(tmp_path)
    releases.publish("2025-11", balances("2025-11"))
    releases.load()
    before = releases.ask("SELECT * FROM as_of('2025-11') ORDER BY ALL")
    with duckdb.connect(str(releases.database)) as connection:
        connection.execute("DROP MACRO as_of")
        connection.execute("ALTER TABLE raw.psd_value ADD COLUMN of_an_older_version INTEGER")
        connection.execute("ALTER TABLE raw.psd_value DROP COLUMN value")
    request = LoadRequest(
        database=releases.database,
        files=tuple(releases.files.values()),
        find=lambda _partition, _file, sha256: releases.paths.get(sha256),
        directory=tmp_path,
    )

    _, anew = load_or_start_anew(Psd(), request)  # type: ignore[arg-type]  # as above

    assert anew
    assert releases.ask("SELECT * FROM as_of('2025-11') ORDER BY ALL") == before
