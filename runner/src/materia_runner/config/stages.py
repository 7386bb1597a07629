"""Default stages, and the tables `[stages.NAME]` of materia.toml that change them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import cast

from materia.compute import Architecture, Requirements

from materia_runner.config.pipeline import Stage, default_deadline
from materia_runner.config.table import Table

ARCHITECTURES = ("x86_64", "arm64")
TEN_MINUTES = timedelta(minutes=10)
# Figures of one full-size month (2.1 million rows): both stages stay under 1 GB of memory; the rest
# is room for the history of a larger source.
STAGES = (
    Stage(
        name="extract",
        requirements=Requirements(
            vcpus=2, memory_gib=Decimal(8), disk_gib=20, expected=TEN_MINUTES
        ),
        deadline=default_deadline(TEN_MINUTES),
        output_gib=Decimal(1),
    ),
    Stage(
        name="transform",
        requirements=Requirements(
            vcpus=4, memory_gib=Decimal(16), disk_gib=20, expected=TEN_MINUTES
        ),
        deadline=default_deadline(TEN_MINUTES),
    ),
)


def parse_stage(stage: Stage, table: Table, currency: str) -> Stage:
    """*stage* as its *table* changes it; its prices are in *currency*."""
    needs = stage.requirements
    architectures = table.texts("architectures", needs.architectures)
    if not architectures or not set(architectures) <= set(ARCHITECTURES):
        table.wrong("architectures", f"a list of {' and '.join(ARCHITECTURES)}")
    expected = timedelta(minutes=table.number("minutes", minutes(needs.expected)))
    deadline = timedelta(minutes=table.number("deadline_minutes", minutes(stage.deadline)))
    deadline_configured = "deadline_minutes" in table.values
    if table.is_right("minutes") and deadline_configured and deadline < expected:
        table.wrong("deadline_minutes", f"at least minutes, which is {minutes(expected)}")
    needs = replace(
        needs,
        vcpus=table.number("vcpus", needs.vcpus),
        memory_gib=Decimal(table.number("memory_gib", int(needs.memory_gib))),
        disk_gib=table.number("disk_gib", needs.disk_gib),
        architectures=cast("tuple[Architecture, ...]", architectures),
        dedicated=table.yes_no("dedicated", default=needs.dedicated),
        expected=expected,
        currency=currency,
    )
    output_gib = table.amount("output_gib", stage.output_gib)
    table.finish()
    return replace(
        stage,
        requirements=needs,
        deadline=deadline if deadline_configured else default_deadline(expected),
        output_gib=output_gib,
        minutes_configured="minutes" in table.values,
        deadline_configured=deadline_configured,
    )


def minutes(length: timedelta) -> int:
    """Whole minutes, as in materia.toml."""
    return length // timedelta(minutes=1)
