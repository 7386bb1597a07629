"""A rollback in the ledger: how it ended, also when it failed, and its copy in the bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.s3 import KEY, SECRET, Fault, S3Server
from materia.data import PublishedState
from materia.errors import SinkError
from materia_runner.cli.commands.tables.recorded_rollback import roll_back
from materia_runner.config.pipeline import Bucket, Pipeline
from materia_runner.ledger.state import State
from materia_runner.run.ledger_copy import opened
from materia_runner.schedule.status import status_of_rows

KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
SAID = "publishes the tables of the run 1 in place of those of the run 2"


@dataclass(slots=True, kw_only=True)
class Keeper:
    """A sink with a history, which fails when a test sets that."""

    error: str = ""
    published: list[tuple[str, str]] = field(default_factory=list)

    def publications(self) -> Sequence[PublishedState]:
        return ()

    def published_by(self, run: str, /) -> Path:
        raise NotImplementedError

    def roll_back(self, to: str, /, *, run: str) -> None:
        if self.error:
            raise SinkError(self.error)
        self.published.append((to, run))


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


def pipeline_of(folder: Path, bucket: Bucket | None = None) -> Pipeline:
    return Pipeline(
        directory=folder,
        providers=("local",),
        sources=("psd",),
        sink="s3",
        stages=(),
        project=None,
        settings={},
        name="coffee",
        artifacts=bucket,
    )


def rolled_back(keeper: Keeper, pipeline: Pipeline, state: State) -> list[str]:
    """Roll back to the run `1`; the warnings."""
    warnings: list[str] = []
    roll_back(
        keeper,
        "1",
        pipeline=pipeline,
        environment=KEYS,
        state=state,
        said=SAID,
        clean=lambda text: text.replace("planted", "***"),
        warn=warnings.append,
    )
    return warnings


def test_a_rollback_that_fails_is_in_the_ledger_with_its_reason(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with pytest.raises(SinkError, match="planted"):
        rolled_back(Keeper(error="the store refuses planted"), pipeline_of(tmp_path), state)
    with state.ledger() as ledger:
        (row,) = ledger.runs()
        (note,) = ledger.notes(row.run)

    assert (row.state, row.error) == ("failed", "the store refuses ***")
    assert (row.sink, row.source, row.directory) == ("s3", "", str(tmp_path))
    assert note.text == SAID
    assert not state.is_alive(row.run)


def test_a_rollback_is_no_run_of_the_schedule(tmp_path: Path) -> None:
    state, keeper = State(tmp_path / "state"), Keeper()
    assert rolled_back(keeper, pipeline_of(tmp_path), state) == []
    with state.ledger() as ledger:
        (row,) = ledger.runs()

    assert keeper.published == [("1", row.run)]
    assert status_of_rows([row], directory=str(tmp_path)) is None


def test_another_computer_sees_a_rollback_by_its_copy_in_the_bucket(
    server: S3Server, tmp_path: Path
) -> None:
    bucket = Bucket(url=f"s3://{server.new_bucket()}/m", endpoint=server.endpoint)
    pipeline = pipeline_of(tmp_path, bucket)
    assert rolled_back(Keeper(), pipeline, State(tmp_path / "here")) == []
    there = State(tmp_path / "there")
    with there.ledger() as ledger:
        copies = opened(pipeline, KEYS, state=there, ledger=ledger)
        assert copies is not None
        copies.restore(now=datetime.now(UTC))
        (row,) = ledger.runs()
        (note,) = ledger.notes(row.run)

    assert (row.state, note.text) == ("ok", SAID)


def test_a_bucket_that_cannot_be_used_is_a_warning(server: S3Server, tmp_path: Path) -> None:
    bucket = Bucket(url=f"s3://{server.new_bucket()}/m", endpoint=server.endpoint)
    keeper, state = Keeper(), State(tmp_path / "state")
    with server.failing(Fault(method="PUT", status=403, code="AccessDenied", times=9)):
        (warning,) = rolled_back(keeper, pipeline_of(tmp_path, bucket), state)

    assert warning.startswith("the ledger in the bucket was left out: ")
    assert len(keeper.published) == 1
