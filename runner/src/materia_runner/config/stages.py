"""Default stages, and the tables of materia.toml that change them.

`[stages.NAME]` is for a stage, and `[sources.NAME.extract]` for the extract of one source.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import cast

from materia.compute import Architecture, Requirements

from materia_runner.config.pipeline import SourceNeeds, Stage, default_deadline
from materia_runner.config.table import Table

ARCHITECTURES: tuple[Architecture, ...] = ("x86_64", "arm64")
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
    architectures = _architectures(table, needs.architectures)
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
        architectures=architectures,
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


def parse_source_needs(table: Table) -> SourceNeeds:
    """What a source says of its extract; its keys are those of a stage, and all may be missing."""
    stated = table.values

    def number(key: str) -> int | None:
        value = table.number(key, 1)
        return value if key in stated and table.is_right(key) else None

    def length(key: str) -> timedelta | None:
        value = number(key)
        return None if value is None else timedelta(minutes=value)

    expected, deadline = length("minutes"), length("deadline_minutes")
    if expected and deadline and deadline < expected:
        table.wrong("deadline_minutes", f"at least minutes, which is {minutes(expected)}")
    memory_gib = number("memory_gib")
    dedicated = table.yes_no("dedicated", default=False)
    output_gib = table.amount("output_gib", Decimal(0))
    architectures = _architectures(table, ARCHITECTURES)
    needs = SourceNeeds(
        vcpus=number("vcpus"),
        memory_gib=None if memory_gib is None else Decimal(memory_gib),
        disk_gib=number("disk_gib"),
        architectures=architectures if "architectures" in stated else None,
        dedicated=dedicated if "dedicated" in stated else None,
        expected=expected,
        deadline=deadline,
        output_gib=output_gib if "output_gib" in stated else None,
    )
    table.finish()
    return needs


def _architectures(table: Table, default: tuple[Architecture, ...]) -> tuple[Architecture, ...]:
    architectures = table.texts("architectures", default)
    if not architectures or not set(architectures) <= set(ARCHITECTURES):
        table.wrong("architectures", f"a list of {' and '.join(ARCHITECTURES)}")
        return default
    return cast("tuple[Architecture, ...]", architectures)


def minutes(length: timedelta) -> int:
    """Whole minutes, as in materia.toml."""
    return length // timedelta(minutes=1)
