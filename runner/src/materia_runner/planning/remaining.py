"""Remaining work of a run: the stages that are not done, and the sources that are not fetched."""

from __future__ import annotations

from materia.errors import SourceError

from materia_runner.config.pipeline import Pipeline, Stage
from materia_runner.planning.source_workers import EXTRACT, Learnt, planned_stages


class Remaining:
    """The stages that a run has still to do; after a failed attempt they are planned again."""

    def __init__(self, pipeline: Pipeline, *, learnt: Learnt) -> None:
        self._pipeline = pipeline
        self._learnt = learnt
        self._sources = pipeline.fetched
        self._done: set[str] = set()
        self._failures: list[SourceError] = []

    def stages(self) -> tuple[Stage, ...]:
        """The stages to plan, in the order they run; none when the run is done or has failed."""
        stages = planned_stages(self._pipeline, left=self._sources, learnt=self._learnt)
        return tuple(
            stage
            for stage in stages
            # After a failure no stage may follow that reads what could not be fetched.
            if stage.name not in self._done and (stage.name == EXTRACT or not self._failures)
        )

    def done(self, stage: Stage) -> None:
        """Leave out *stage*, or of a stage that several workers share, the sources of this one."""
        if stage.name != EXTRACT:
            self._done.add(stage.name)
        else:
            fetched = stage.sources or self._sources
            self._sources = tuple(name for name in self._sources if name not in fetched)

    def failed(self, stage: Stage, error: SourceError) -> bool:
        """Note that a worker of some sources failed; False for a worker that had all of the run.

        As on one worker, everything of the other sources is fetched and kept before the run ends.
        """
        if not stage.sources:
            return False
        self._failures.append(error)
        self.done(stage)
        return True

    def raise_failures(self) -> None:
        """End the run when sources could not be fetched.

        Raises:
            SourceError: the errors of all of them, a line each.
        """
        if self._failures:
            raise SourceError("\n".join(map(str, self._failures)))
