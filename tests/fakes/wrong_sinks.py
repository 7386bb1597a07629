"""Sinks that are right but for one thing: what the contract of a sink must notice."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
from materia import Opening, Plugin, Sink, hookimpl
from materia.data import (
    Absent,
    Fetched,
    FetchResult,
    Known,
    Partition,
    PublishRequest,
    RawFile,
    Refused,
    Table,
    Unchanged,
)
from materia_store.folder.sink import FolderSink


class Right(FolderSink):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "kept", setting="sinks.wrong.folder")


class LosesTheOldFile(Right):
    """A file that is replaced is gone, and so nothing is behind one that cannot be loaded."""

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        known = self.known(source).get(partition.key)
        if isinstance(result, Fetched) and known and known.raw:
            old = known.raw
            path = super().find_raw(source, partition.key, old.file, old.sha256)
            super().record(source, partition, result)
            if path and old.sha256 != result.raw.sha256:
                path.unlink()
            return
        super().record(source, partition, result)


class FindsByName(Right):
    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        known = self.known(source).get(partition)
        if known is None or known.raw is None:
            return None
        return super().find_raw(source, partition, file, known.raw.sha256)


class TakesWhatIsTorn(Right):
    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        if isinstance(result, Fetched):
            raw = replace(result.raw, size=result.path.stat().st_size)
            result = replace(result, raw=raw)
        super().record(source, partition, result)


class ForgetsThePartition(Right):
    def known(self, source: str, /) -> Mapping[str, Known]:
        return {key: one for key, one in super().known(source).items() if one.raw is not None}


class MixesSources(Right):
    def known(self, source: str, /) -> Mapping[str, Known]:
        return {**super().known("other"), **super().known(source)}


class KeepsTheOldTag(Right):
    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        known = self.known(source).get(partition.key)
        if isinstance(result, Unchanged) and known:
            result = replace(result, etag=known.etag)
        super().record(source, partition, result)


class UnchangedOfNothing(Right):
    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        unknown = partition.key not in self.known(source)
        super().record(
            source, partition, Absent() if unknown and isinstance(result, Unchanged) else result
        )


class NeverRefuses(Right):
    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Keep on using it."""


class LosesWhatItRefuses(Right):
    """A file that could not be loaded is gone."""

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        super().refuse(source, raw, reason)
        for path in self._folder.rglob("quarantine/*"):
            path.unlink()


class LosesWhatIsNoFile(Right):
    """What a source refused is never kept."""

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        if isinstance(result, Refused) and result.path is not None:
            result = replace(result, path=None)
        super().record(source, partition, result)


class PublishesHalf(Right):
    """A table that is missing is left out."""

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        with duckdb.connect(str(request.database)) as connection:
            there = {
                f"{schema}.{name}"
                for schema, name in connection.execute(
                    "SELECT table_schema, table_name FROM information_schema.tables"
                ).fetchall()
            }
        tables = tuple(name for name in request.tables if name in there)
        return super().publish(replace(request, tables=tables))


class CountsNothing(Right):
    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        return [replace(table, rows=0) for table in super().publish(request)]


class PublishesAgain(Right):
    """The same run once more is a new publication."""

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        published = self._publication()
        if published is not None and published.run == request.run and self.published():
            path = self.published()
            assert path is not None
            shutil.copyfile(path, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
        return super().publish(request)


class ForgetsTheLock(Right):
    """It lets go of the lock as soon as it has made the working copy."""

    def checkout(self) -> Path:
        path = super().checkout()
        assert self._work._lock is not None
        self._work._lock.release()
        self._work._lock = None
        return path


class KeepsTheLock(Right):
    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        tables = super().publish(request)
        self._work.take_lock()
        return tables


class RemembersTheFingerprint(Right):
    _first: str | None = None

    def fingerprint(self) -> str | None:
        self._first = self._first or super().fingerprint()
        return self._first


class WorksOnWhatIsPublished(Right):
    def checkout(self) -> Path:
        path = super().checkout()
        return self.published() or path


class StartsAnew(Right):
    """The working copy does not start from what is published, nor from what a killed run left."""

    def checkout(self) -> Path:
        path = super().checkout()
        path.unlink()
        duckdb.connect(str(path)).close()
        return path


class WritesALog(Right):
    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        Path("published.log").write_text(request.run, encoding="utf-8")
        return super().publish(request)


class WritesBeside(Right):
    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        super().record(source, partition, result)
        (self._folder.parent.parent / "records.log").write_text(partition.key, encoding="utf-8")


WRONG: dict[str, type[Right]] = {
    one.__name__: one
    for one in list(vars().values())
    if isinstance(one, type) and issubclass(one, Right)
}


def _plugin(name: str, kind: type[Right]) -> Plugin[Sink]:
    def open_sink(opening: Opening) -> Sink:
        return kind(opening.directory)

    return Plugin(name=name, summary="for tests", open=open_sink)


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    return [_plugin(name, kind) for name, kind in WRONG.items()]
