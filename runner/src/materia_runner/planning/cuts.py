"""Cuts of a chain of stages into machines: which stages share one, and which sources. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from materia_runner.config.pipeline import Stage
from materia_runner.planning.explain import Cut
from materia_runner.planning.search import Chain


def cuts(stages: tuple[Stage, ...]) -> Iterator[Cut]:
    """Every way to cut the chain into consecutive placements, the one without a cut first."""
    if not stages:
        return
    yield (stages,)
    for length in range(len(stages) - 1, 0, -1):
        for rest in cuts(stages[length:]):
            yield (stages[:length], *rest)


def all_cuts(stages: tuple[Stage, ...]) -> Iterator[Cut]:
    """Every cut of the chain, and of the chains in which several workers share the first stage.

    These run side by side, each on a machine for it alone. A machine of later stages, too, would
    wait for the other workers, and cost money meanwhile.
    """
    yield from cuts(stages)
    first, *more = stages
    later = tuple(more)
    for way in first.ways:
        apart = tuple((worker,) for worker in way)
        yield from ((*apart, *tail) for tail in cuts(later)) if later else (apart,)


def source_workers(cut: Cut) -> tuple[Stage, ...]:
    """The stages of the workers that have some of the sources each."""
    return tuple(stage for placement in cut for stage in placement if stage.sources)


def different(
    compared: Sequence[tuple[Cut, Chain | None]], chosen: Cut
) -> list[tuple[Cut, Chain | None]]:
    """The first cut of each kind but *chosen*.

    First come those that compare one worker for all sources with several; last, those without
    machines.
    """
    kinds: dict[object, tuple[Cut, Chain | None]] = {}
    for cut, chain in compared:
        shape = tuple(tuple(stage.name for stage in placement) for placement in cut)
        sources = frozenset(stage.sources for stage in source_workers(cut))
        kinds.setdefault((sources, shape), (cut, chain))
    return sorted(
        (one for one in kinds.values() if one[0] != chosen),
        key=lambda one: (one[1] is None, _is_shared(one[0]) == _is_shared(chosen)),
    )


def _is_shared(cut: Cut) -> bool:
    return len(source_workers(cut)) > 1


def apart_count(cut: Cut) -> int:
    """The number of workers of the first stage that have a machine for it alone.

    What these fetch is read by the first stage after them, not by one another.
    """
    return next(
        (number for number, one in enumerate(cut) if len(one) > 1 or not one[0].sources), len(cut)
    )
