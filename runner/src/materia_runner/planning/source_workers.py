"""Share the sources of a run among workers: what each needs, and which ways to compare. Pure.

Sources on one worker are fetched side by side, in one process. So their memory, disk and output add
up; cores do not, as fewer of them only make a fetch slower, and it mostly waits for servers. The
slowest source decides how long it takes. All sources that state nothing share what
`[stages.extract]` says, together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from materia_runner.config.pipeline import Pipeline, SourceNeeds, Stage, default_deadline

EXTRACT = "extract"  # the stage that has sources
# The duration of a stage in earlier runs, by its label; None when it was never measured.
Learnt = Callable[[str], timedelta | None]
Names = tuple[str, ...]


def _nothing_learnt(_label: str) -> None:
    """No duration is known."""


def planned_stages(
    pipeline: Pipeline, *, left: Sequence[str] | None = None, learnt: Learnt = _nothing_learnt
) -> tuple[Stage, ...]:
    """The stages of *pipeline* with the needs of its sources, and the ways to share those.

    Args:
        pipeline: The pipeline.
        left: Sources that are still to be fetched; None for all of the run, and none when extract
            is done, which leaves it out.
        learnt: Durations in earlier runs.
    """
    sources = pipeline.fetched if left is None else tuple(left)
    stages = []
    for stage in pipeline.stages:
        if stage.name == EXTRACT and not sources:
            continue
        alike = sources == pipeline.fetched and not pipeline.source_needs.keys() & set(sources)
        if stage.name != EXTRACT or alike:
            known = None if stage.minutes_configured else learnt(stage.name)
            stages.append(stage if known is None else stage.expecting(known))
        else:
            sharing = _Sharing(stage, pipeline.source_needs, pipeline.fetched, learnt)
            stages.append(sharing.stage(sources))
    return tuple(stages)


class _Sharing:
    """The stage extract of a run, and what its sources state."""

    def __init__(
        self, base: Stage, needs: Mapping[str, SourceNeeds], fetched: Names, learnt: Learnt
    ) -> None:
        self._base = base
        self._needs = needs
        self._fetched = fetched
        self._learnt = learnt
        # Without any other figure, a source takes as long as all of them together at most.
        self._at_most = None if self._timed(fetched) else learnt(base.name)

    def stage(self, sources: Names) -> Stage:
        """The stage for *sources* on one worker, with the ways to share them among more."""
        parts = self._parts(sources)
        ways = [parts] if len(parts) > 1 else []
        if len(parts) > 2:  # trying every set of sets would take too long with many sources
            ways = [self._apart(sources, part) for part in parts] + ways
        return replace(
            self._worker(sources),
            ways=tuple(tuple(self._worker(one) for one in way) for way in ways),
        )

    def _parts(self, sources: Names) -> tuple[Names, ...]:
        """What may have a worker: each source that states its needs, and all others together."""
        silent = tuple(name for name in sources if name not in self._needs)
        parts = [(name,) for name in sources if name in self._needs] + ([silent] if silent else [])
        return self._ordered(parts)

    def _apart(self, sources: Names, part: Names) -> tuple[Names, ...]:
        return self._ordered([part, tuple(name for name in sources if name not in part)])

    def _ordered(self, parts: Sequence[Names]) -> tuple[Names, ...]:
        return tuple(sorted(parts, key=lambda part: self._fetched.index(part[0])))

    def _worker(self, sources: Names) -> Stage:
        """The stage of one worker."""
        base, stated = self._base, [one for name in sources if (one := self._needs.get(name))]
        whole = sources == self._fetched
        named = replace(base, sources=() if whole else sources)
        said = [*stated, *([SourceNeeds()] if len(stated) < len(sources) else [])]
        needs = base.requirements
        expected, by_hand, learnt = self._expected(sources, named.label)
        silent = base.deadline if base.deadline_configured else default_deadline(expected)
        deadlines = [silent if one.deadline is None else one.deadline for one in said]
        processors = [one.architectures or needs.architectures for one in said]
        return replace(
            named,
            requirements=replace(
                needs,
                vcpus=max(one.vcpus or needs.vcpus for one in said),
                memory_gib=Decimal(_sum([one.memory_gib for one in said], needs.memory_gib)),
                disk_gib=int(_sum([one.disk_gib for one in said], needs.disk_gib)),
                architectures=tuple(
                    one for one in processors[0] if all(one in some for some in processors)
                ),
                dedicated=any(
                    needs.dedicated if one.dedicated is None else one.dedicated for one in said
                ),
                expected=expected,
            ),
            deadline=max(deadlines),
            output_gib=Decimal(_sum([one.output_gib for one in said], base.output_gib)),
            minutes_configured=by_hand,
            minutes_learnt=learnt,
            deadline_configured=base.deadline_configured or all(one.deadline for one in said),
        )

    def _timed(self, sources: Names) -> list[timedelta]:
        """The durations that sources state."""
        stated = [one for name in sources if (one := self._needs.get(name))]
        return [one.expected for one in stated if one.expected is not None]

    def _expected(self, sources: Names, label: str) -> tuple[timedelta, bool, bool]:
        """How long *sources* take, whether materia.toml says so, and whether earlier runs do."""
        base, stated = self._base, self._timed(sources)
        if len(stated) == len(sources):
            return max(stated), True, False
        if base.minutes_configured:
            return max([base.requirements.expected, *stated]), True, False
        if stated:
            rest = tuple(name for name in sources if not self._timed((name,)))
            known = self._known(rest, replace(base, sources=rest).label)
        else:
            known = self._known(sources, label)
        return max([known or base.requirements.expected, *stated]), False, known is not None

    def _known(self, sources: Names, label: str) -> timedelta | None:
        """How long *sources* took in earlier runs, which may have fetched them apart."""
        if (known := self._learnt(label)) is not None:
            return known
        parts = [
            self._learnt(replace(self._base, sources=one).label) for one in self._parts(sources)
        ]
        measured = [one for one in parts if one is not None]
        return max(measured) if len(measured) == len(parts) else self._at_most


def _sum(stated: Sequence[Decimal | int | None], together: Decimal | int) -> Decimal | int:
    """What is stated, and once what all others need *together*."""
    amount = sum((one for one in stated if one is not None), Decimal(0))
    return amount + together if None in stated else amount
