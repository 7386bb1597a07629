"""Sources that are right but for one thing: what the contract of a source must notice."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
    RawFile,
    Refused,
    Unchanged,
)
from materia.errors import SourceError
from materia.protocols import Source


class Wrong:
    """A source that asks the right one; a subclass changes one method."""

    def __init__(self, right: Source) -> None:
        self.right = right

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        return self.right.partitions(request)

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        return self.right.fetch(request)

    def load(self, request: LoadRequest, /) -> LoadReport:
        return self.right.load(request)

    def models(self) -> Path | None:
        return self.right.models()


class IgnoresKnown(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        return self.right.fetch(replace(request, known=None))


class WrongHash(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            sha256 = hashlib.sha256(result.raw.url.encode()).hexdigest()
            return replace(result, raw=replace(result.raw, sha256=sha256))
        return result


class ContentOfTheMoment(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            content = f"{result.raw.sha256} {result.raw.fetched_at}"
            return replace(result, raw=replace(result.raw, content=content))
        return result


class ContentOfTheKey(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            return replace(result, raw=replace(result.raw, content=result.raw.partition))
        return result


class Backwards(Wrong):
    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        return [*self.right.partitions(request)][::-1]


class RecheckedLast(Wrong):
    """What is new first, then what is checked again."""

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        found = [*self.right.partitions(replace(request, everything=True))]
        return sorted(found, key=lambda one: one.key in request.known)


class Twice(Wrong):
    """A partition that is known and due is listed a second time."""

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        found = [*self.right.partitions(request)]
        return sorted([*found, *(one for one in found if one.key in request.known)], key=_key)


def _key(partition: Partition) -> str:
    return partition.key


class ForgetsNew(Wrong):
    """Once something is known, only what follows it is asked for."""

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        last = max(request.known, default="")
        found = self.right.partitions(replace(request, everything=True))
        return [one for one in found if request.everything or one.key >= last]


class OnlyWhatIsDue(Wrong):
    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        return self.right.partitions(replace(request, everything=False))


class TrustsAnyAddress(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        known = request.known
        if known is not None:
            request = replace(request, known=replace(known, url=request.partition.url))
        return self.right.fetch(request)


class OutageIsAbsence(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        try:
            return self.right.fetch(request)
        except SourceError as error:
            return Absent(reason=str(error))


class AbsenceIsAnError(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Absent):
            raise SourceError(f"{request.partition.url}: {result.reason}")
        return result


class AbsenceIsARemoval(Wrong):
    """What the server denies goes out of use."""

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        return replace(result, removed=True) if isinstance(result, Absent) else result


class KeepsACopy(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            Path(f"cache-{result.raw.sha256[:8]}").write_bytes(result.path.read_bytes())
        return result


class WritesBeside(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        (request.directory.parent / f"{request.partition.key}.log").write_text("fetched")
        return self.right.fetch(request)


class LeavesRubbish(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        (request.directory / "headers.json").write_text("{}")
        return result


class OneAtATime(Wrong):
    def __init__(self, right: Source) -> None:
        super().__init__(right)
        self._lock = threading.Lock()

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        with self._lock:
            return self.right.fetch(request)


class Silent(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        return self.right.fetch(replace(request, received=lambda _: None))


class TotalsOverAgain(Wrong):
    """It reports how much has come, and not how much has come since."""

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        total = 0

        def received(count: int) -> None:
            nonlocal total
            total += count
            request.received(total)

        result = self.right.fetch(replace(request, received=received))
        request.received(total)
        return result


class LocalTime(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            naive = datetime.now(UTC).replace(tzinfo=None)
            return replace(result, raw=replace(result.raw, fetched_at=naive))
        return result


class TimeOfYesterday(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            then = datetime.now(UTC) - timedelta(days=1)
            return replace(result, raw=replace(result.raw, fetched_at=then))
        return result


class DropsTheTag(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            return replace(result, raw=replace(result.raw, etag=None, last_modified=None))
        return result


class NamesAnotherTag(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        return replace(result, etag='"new"') if isinstance(result, Unchanged) else result


class AcceptsEverything(Wrong):
    """What it should refuse is the file."""

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        return Absent(reason=result.reason) if isinstance(result, Refused) else result


class LeavesOneOut(Wrong):
    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        first, _, *others = self.right.partitions(request)
        return [first, *others]


class AnotherOrderEachTime(Wrong):
    times = 0

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        self.times += 1
        return sorted(
            self.right.partitions(request), key=lambda one: one.key, reverse=self.times % 2 == 0
        )


class LeavesTheRefused(Wrong):
    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        bad = {key for key, one in request.known.items() if one.refused is not None}
        return [one for one in self.right.partitions(request) if one.key not in bad]


class LoadsTheNewestAlone(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        return self.right.load(replace(request, files=request.files[-1:]))


class NeverReplaces(Wrong):
    """A partition that is loaded stays as it was."""

    def __init__(self, right: Source) -> None:
        super().__init__(right)
        self.first: dict[tuple[Path, str], RawFile] = {}

    def load(self, request: LoadRequest, /) -> LoadReport:
        files = tuple(
            self.first.setdefault((request.database, raw.partition), raw) for raw in request.files
        )
        return self.right.load(replace(request, files=files))


class SaysItLoadedAll(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        return replace(report, loaded=tuple(raw.partition for raw in request.files))


class DeletesTheRawFile(Wrong):
    def load(self, request: LoadRequest, /) -> LoadReport:
        report = self.right.load(request)
        for raw in request.files:
            if path := request.find(raw.partition, raw.file, raw.sha256):
                path.unlink()
        return report


class OutageIsNoChange(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        try:
            return self.right.fetch(request)
        except SourceError:
            return Unchanged(etag=None, last_modified=None)


class NeverChanges(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        known = request.known
        if known is not None and known.raw is not None and known.etag:
            return Unchanged(etag=known.etag, last_modified=known.last_modified)
        return self.right.fetch(request)


class WrongSize(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            return replace(result, raw=replace(result.raw, size=result.raw.size + 1))
        return result


class OfAnotherPartition(Wrong):
    def fetch(self, request: FetchRequest, /) -> FetchResult:
        result = self.right.fetch(request)
        if isinstance(result, Fetched):
            return replace(result, raw=replace(result.raw, partition="2026-03"))
        return result


class TakesHalf(Wrong):
    """What broke off is the file."""

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        try:
            return self.right.fetch(request)
        except SourceError:
            path = request.directory / "half.csv"
            path.write_bytes(b"item,price\n")
            return Refused(reason="is cut short", etag='"whole"', last_modified=None, path=path)


class TrustsTheClock(Wrong):
    """What is due depends on the day of the computer, and not on that of the run."""

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        return self.right.partitions(replace(request, now=datetime(2026, 2, 1, tzinfo=UTC)))


class NamesNoFile(Wrong):
    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        return [replace(one, file="") for one in self.right.partitions(request)]


WRONG: Sequence[type[Wrong]] = [
    one for one in list(vars().values()) if isinstance(one, type) and issubclass(one, Wrong)
][1:]
Change = Callable[[Source], Source]
