"""Explain a plan in words: stages, machines, and why offers were passed over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from materia.compute import Offer
from materia.text import together

from materia_runner.config.pipeline import Stage
from materia_runner.pricing.ranking import PassedOver

REASONS = 3  # of one provider
INSTEAD = "try again later, name other providers, or ask for less under [stages.<name>]"
# "2 vCPU, 4 needed", "8 GiB of memory, 16 needed": one reason for all smaller sizes.
TOO_LITTLE = re.compile(r"[\d.]+ (vCPU|GiB of \w+), ([\d.]+) needed")
# The stages of each machine.
Cut = tuple[tuple[Stage, ...], ...]


def names(stages: Sequence[Stage]) -> str:
    """`extract`, `extract and transform`, `a, b and c`."""
    return together([stage.label for stage in stages])


def machine_text(offer: Offer) -> str:
    """`hetzner cpx22 in fsn1`."""
    return f"{offer.provider} {offer.instance_type} in {offer.zone or offer.region}"


def counted(passed_over: Iterable[PassedOver]) -> tuple[tuple[str, str, int], ...]:
    """Count reasons: provider, reason, number of offers; by provider, most frequent first."""
    counts = Counter(
        (passed.offer.provider, TOO_LITTLE.sub(r"less than \2 \1", passed.reason))
        for passed in passed_over
    )
    rows = [(provider, reason, count) for (provider, reason), count in counts.items()]
    return tuple(sorted(rows, key=lambda row: (row[0], -row[2], row[1])))


def reason_lines(passed_over: Iterable[PassedOver]) -> list[str]:
    """A line for each provider, with the most frequent reasons."""
    lines = []
    for provider, rows in groupby(counted(passed_over), key=lambda row: row[0]):
        texts = [f"{count} x {reason}" for _, reason, count in rows]
        if len(texts) > REASONS:
            more = len(texts) - REASONS
            texts[REASONS:] = ["and 1 more reason" if more == 1 else f"and {more} more reasons"]
        lines.append(f"{provider}: {'; '.join(texts)}")
    return lines


def sharing(cut: Cut) -> str:
    """How stages share machines: `extract and transform share one machine`."""
    stages = [stage for placement in cut for stage in placement]
    if len(stages) == 1:
        return f"{names(stages)} has a machine"
    if len(cut) == len(stages):
        return f"{names(stages)} have a machine each"
    return ", ".join(
        f"{names(placement)} share one machine"
        if len(placement) > 1
        else f"{names(placement)} has its own"
        for placement in cut
    )
