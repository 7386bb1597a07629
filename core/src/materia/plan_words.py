"""How a plan is told to people: stages, machines, and why offers were passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from materia.machines import Offer
from materia.model import Stage
from materia.selection import PassedOver

# The stages of each machine.
Cut = tuple[tuple[Stage, ...], ...]


def names(stages: Sequence[Stage]) -> str:
    """`extract`, `extract and transform`, `a, b and c`."""
    *most, last = (stage.name for stage in stages)
    return f"{', '.join(most)} and {last}" if most else last


def machine_text(offer: Offer) -> str:
    """`hetzner cpx22 in fsn1`."""
    return f"{offer.provider} {offer.instance_type} in {offer.zone or offer.region}"


def counted(passed_over: Sequence[PassedOver]) -> tuple[tuple[str, str, int], ...]:
    """How many offers of each provider were passed over for each reason, the most first."""
    counts = Counter((passed.offer.provider, passed.reason) for passed in passed_over)
    rows = [(provider, reason, count) for (provider, reason), count in counts.items()]
    return tuple(sorted(rows, key=lambda row: (row[0], -row[2], row[1])))


def sharing(cut: Cut) -> str:
    """`extract and transform share one machine`, `extract and transform have a machine each`."""
    stages = [stage for leg in cut for stage in leg]
    if len(stages) == 1:
        return f"{names(stages)} has a machine"
    if len(cut) == len(stages):
        return f"{names(stages)} have a machine each"
    return ", ".join(
        f"{names(leg)} share one machine" if len(leg) > 1 else f"{names(leg)} has its own"
        for leg in cut
    )
