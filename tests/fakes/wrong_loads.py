"""Sources that load wrongly: what the contract of a source must notice in its tables and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from fakes.wrong_sources import Wrong
from materia.data import (
    FetchRequest,
    FetchResult,
    LoadReport,
    LoadRequest,
    Refused,
)
from materia.errors import SourceError
from materia.protocols import Source


class LoadsTwice(Wrong):
    """Every file is loaded anew each time."""

    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        return replace(report, loaded=tuple(raw.partition for raw in request.files))


class NeverRemoves(Wrong):
    def __init__(self, right: Source) -> None:
        super().__init__(right)
        self._seen: dict[tuple[Path, str], object] = {}

    def load(self, request: LoadRequest, /) -> LoadReport:
        for raw in request.files:
            self._seen[request.database, raw.partition] = raw
        files = [raw for (where, _), raw in self._seen.items() if where == request.database]
        return self.right.load(replace(request, files=tuple(files)))  # type: ignore[arg-type]


class ForgetsAffected(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        return replace(self.right.load(request), affected=())


class AffectedByLoadedAlone(Wrong):
    """It forgets the dates of what is gone."""

    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        return replace(report, affected=report.affected if report.loaded else ())


class AffectedSinceTheLastLoad(Wrong):
    """It compares with what it loaded before, and not with what is published."""

    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        return report if report.loaded or report.removed else replace(report, affected=())


class AlwaysAffected(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        return self.right.load(replace(request, published=None))


class AffectedTimes(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        times = tuple(datetime(one.year, one.month, one.day, tzinfo=UTC) for one in report.affected)
        return replace(report, affected=times)


class AffectedUnsorted(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        return replace(report, affected=(*report.affected[::-1], *report.affected))


class WritesIntoThePublished(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        if request.published is not None:
            with duckdb.connect(str(request.published)) as connection:
                connection.execute("CREATE OR REPLACE TABLE raw.compared AS SELECT 1 AS number")
        return self.right.load(request)


class DropsOthers(Wrong):
    """It clears the schema first, which has tables of other sources, too."""

    def load(self, request: LoadRequest, /) -> LoadReport:
        with duckdb.connect(str(request.database)) as connection:
            connection.execute("DROP SCHEMA IF EXISTS raw CASCADE")
        return self.right.load(request)


class SaysItLoadedTheRefused(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        return replace(report, loaded=tuple(sorted({*report.loaded, *report.refused})))


class UnpacksInPlace(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        for raw in request.files:
            if path := request.find(raw.partition, raw.file, raw.sha256):
                path.with_suffix(".unpacked").write_bytes(path.read_bytes())
        return self.right.load(request)


class ChangesTheRawFile(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        for raw in request.files:
            if path := request.find(raw.partition, raw.file, raw.sha256):
                path.write_bytes(path.read_bytes().rstrip())
        return report


class NoProgress(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        return self.right.load(replace(request, loaded=lambda _key, _left: None))


class NeedsEveryFile(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        for raw in request.files:
            if request.find(raw.partition, raw.file, raw.sha256) is None:
                raise SourceError(f"{raw.partition}: the raw file is gone")
        return self.right.load(request)


class RaisesForABadFile(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Refused):
            raise SourceError(f"{request.partition.url}: {result.reason}")
        return result

    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        if report.refused:
            raise SourceError(f"{report.refused}")
        return report


class NoReason(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        return replace(result, reason="bad") if isinstance(result, Refused) else result

    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        return replace(report, refused=dict.fromkeys(report.refused, "bad"))


class NoRowsAdded(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        return replace(self.right.load(request), rows_added=0)


class CountsWholeFiles(Wrong):
    """What stayed counts as gone and come again."""

    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        kept = 1 if report.rows_ended and report.rows_added else 0
        return replace(
            report, rows_added=report.rows_added + kept, rows_ended=report.rows_ended + kept
        )


class NothingEnds(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        return replace(self.right.load(request), rows_ended=0)


class RemarksOnOthers(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        return replace(self.right.load(request), remarks={"1999-01": ["is odd"]})


class NoModels(Wrong):
    def models(self) -> Path | None:
        return Path(__file__).parent / "nothing"


class RoundsMoney(Wrong):
    """Floats are close enough for it."""

    def load(self, request: LoadRequest, /) -> LoadReport:
        return _changed(self.right.load(request), request, "SET price = round(price, 1)")


class MixesUpCapitals(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        return _changed(self.right.load(request), request, "SET item = upper(item)")


class MergesRows(Wrong):
    """Its key is too short, and the last row wins."""

    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        with duckdb.connect(str(request.database)) as connection:
            connection.execute("""
                DELETE FROM raw.acme_row AS one WHERE EXISTS (
                    FROM raw.acme_row AS other
                    WHERE other.partition = one.partition AND other.item < one.item
                )
            """)
        return report


class DropsTheLastRow(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        def find(partition: str, file: str, sha256: str) -> Path | None:
            path = request.find(partition, file, sha256)
            if path is None:
                return None
            lines = path.read_bytes().splitlines(keepends=True)
            short = request.directory / f"{sha256}.short"
            short.write_bytes(b"".join(lines[:2]))
            return short

        return self.right.load(replace(request, find=find))


def _changed(report: LoadReport, request: LoadRequest, change: str) -> LoadReport:
    """Change the loaded rows behind the back of the right source."""
    with duckdb.connect(str(request.database)) as connection:
        connection.execute(f"UPDATE raw.acme_row {change}")
    return report


WRONG: Sequence[type[Wrong]] = [
    one for one in list(vars().values()) if isinstance(one, type) and issubclass(one, Wrong)
][1:]
