"""What a run has still to do after each of its workers, also when one of several fails."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from materia.errors import SourceError
from materia_runner.config.pipeline import Pipeline, SourceNeeds
from materia_runner.planning.remaining import Remaining
from strategies.stages import EXTRACT, TRANSFORM

SOURCES = ("a", "b", "c")


def remaining() -> Remaining:
    pipeline = Pipeline(
        directory=Path(),
        providers=(),
        sources=SOURCES,
        sink="duckdb",
        stages=(EXTRACT, TRANSFORM),
        project=None,
        settings={},
        source_needs={"a": SourceNeeds(vcpus=1), "b": SourceNeeds(expected=timedelta(hours=1))},
    )
    return Remaining(pipeline, learnt=lambda _: None)


def left(found: Remaining) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.label, tuple(part.label for part in sum(one.ways, ()))) for one in found.stages()]


def test_the_sources_that_are_fetched_are_left_out_and_the_others_may_share_a_worker() -> None:
    found = remaining()
    whole, _ = found.stages()
    a, b, c = whole.ways[-1]

    found.done(b)
    assert left(found) == [("extract (a, c)", ("extract (a)", "extract (c)")), ("transform", ())]
    found.done(a)
    assert left(found) == [("extract (c)", ()), ("transform", ())]
    found.done(c)
    assert left(found) == [("transform", ())]
    found.done(found.stages()[0])
    assert left(found) == []
    found.raise_failures()


def test_one_worker_for_all_sources_is_done_at_once() -> None:
    found = remaining()

    found.done(found.stages()[0])

    assert left(found) == [("transform", ())]


def test_after_a_worker_failed_the_others_fetch_and_nothing_is_transformed() -> None:
    found = remaining()
    a, b, c = found.stages()[0].ways[-1]

    assert found.failed(a, SourceError("a: down"))
    assert left(found) == [("extract (b, c)", ("extract (b)", "extract (c)"))]
    found.done(b)
    assert found.failed(c, SourceError("c: down, too"))

    assert left(found) == []
    with pytest.raises(SourceError, match=r"^a: down\nc: down, too$"):
        found.raise_failures()


def test_the_failure_of_one_worker_for_all_sources_is_the_end_of_the_run() -> None:
    found = remaining()

    assert not found.failed(found.stages()[0], SourceError("a: down"))
