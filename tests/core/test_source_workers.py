"""Which workers fetch the sources of a run: what each needs, and what the plan finds cheaper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from materia.compute import Offer, Requirements
from materia.errors import NoOfferError
from materia.kit.fit import misfit
from materia_runner.cli.output.plan_table import Shown, as_json, as_text
from materia_runner.config.pipeline import NO_BUDGET, Pipeline, SourceNeeds
from materia_runner.planning.available_offers import asked_for
from materia_runner.planning.plan import Plan, make_plan
from materia_runner.planning.search import BOOT
from materia_runner.planning.source_workers import planned_stages
from materia_runner.pricing.cost import cost
from materia_runner.pricing.currency import Exchange
from strategies.offers import offers
from strategies.stages import EXTRACT, TRANSFORM, an_offer, large_offers

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SMALL = an_offer("acme", "small", "0.01", vcpus=2, memory=8)
MIDDLE = an_offer("acme", "middle", "0.03", vcpus=4, memory=16)
LARGE = an_offer("acme", "large", "0.20", vcpus=8, memory=128)
SLOW = SourceNeeds(memory_gib=Decimal(2), expected=600 * MINUTE)
WIDE = SourceNeeds(memory_gib=Decimal(64), expected=10 * MINUTE)


def pipeline(*sources: str, **needs: SourceNeeds) -> Pipeline:
    return Pipeline(
        directory=Path(),
        providers=(),
        sources=sources,
        sink="duckdb",
        stages=(EXTRACT, TRANSFORM),
        project=None,
        settings={},
        source_needs=needs,
    )


def plan(found: Pipeline, *some: Offer, start: datetime = NOON) -> Plan:
    return make_plan(planned_stages(found), some, start=start, exchange=Exchange())


def workers(found: Plan) -> list[tuple[str, str]]:
    return [(one.name, one.chosen.offer.instance_type) for one in found.placements]


def test_without_needs_of_a_source_the_stages_are_those_of_the_file() -> None:
    assert planned_stages(pipeline("a", "b")) == (EXTRACT, TRANSFORM)
    learnt = {"extract": 30 * MINUTE}
    assert planned_stages(pipeline("a", "b"), learnt=learnt.get) == (
        EXTRACT.expecting(30 * MINUTE),
        TRANSFORM,
    )
    other = replace(pipeline("a", "b", c=WIDE), only=("a",))
    assert planned_stages(other) == (EXTRACT, TRANSFORM)


def test_side_by_side_memory_and_disk_add_up_and_cores_and_minutes_do_not() -> None:
    found = pipeline(
        "a",
        "b",
        "c",
        "d",
        a=SourceNeeds(vcpus=8, memory_gib=Decimal(2), disk_gib=5, expected=MINUTE),
        b=SourceNeeds(disk_gib=7, expected=30 * MINUTE, dedicated=True, output_gib=Decimal(3)),
    )

    whole, _ = planned_stages(found)

    needs = whole.requirements
    assert (needs.vcpus, needs.memory_gib, needs.disk_gib) == (8, Decimal(2 + 8), 22)
    assert (needs.expected, needs.dedicated) == (30 * MINUTE, True)
    assert whole.output_gib == 3 + 1
    assert (whole.sources, whole.deadline) == ((), 180 * MINUTE)
    # c and d say nothing: they share what the stage needs, once.
    silent = next(one for one in whole.ways[-1] if one.sources == ("c", "d"))
    assert silent.requirements == EXTRACT.requirements


def test_the_ways_are_one_source_apart_or_all_of_them_apart() -> None:
    needs = dict.fromkeys("abd", SLOW)

    stage, _ = planned_stages(pipeline("a", "b", "c", "d", "e", **needs))

    assert [[one.sources for one in way] for way in stage.ways] == [
        [("a",), ("b", "c", "d", "e")],
        [("a", "c", "d", "e"), ("b",)],
        [("a", "b", "d"), ("c", "e")],
        [("a", "b", "c", "e"), ("d",)],
        [("a",), ("b",), ("c", "e"), ("d",)],
    ]
    two, _ = planned_stages(pipeline("a", "b", a=SLOW))
    assert [[one.sources for one in way] for way in two.ways] == [[("a",), ("b",)]]
    one, _ = planned_stages(pipeline("a", a=SLOW))
    assert one.ways == ()
    assert one.requirements.memory_gib == 2


def test_a_slow_source_and_a_large_one_have_a_worker_each_where_that_is_cheaper() -> None:
    found = plan(pipeline("slow", "wide", slow=SLOW, wide=WIDE), SMALL, MIDDLE, LARGE)

    assert workers(found) == [
        ("extract (slow)", "small"),
        ("extract (wide)", "large"),
        ("transform", "middle"),
    ]
    # 10 h of the small one, and an hour each of the others.
    assert found.total.amount == Decimal("0.33")
    assert found.why == (
        "extract (slow), extract (wide) and transform have a machine each: expected cost "
        "0.3300 EUR, instead of 2.0300 EUR if extract and transform have a machine each; the "
        "sources are fetched side by side, and all stages take 10 h 10 min"
    )
    assert [one.start for one in found.placements] == [NOON, NOON, NOON + 600 * MINUTE]


def test_the_plan_shows_the_price_of_one_worker_and_of_several_in_text_and_json() -> None:
    shown = Shown(
        plan=plan(pipeline("slow", "wide", slow=SLOW, wide=WIDE), SMALL, MIDDLE, LARGE),
        unanswered=(),
        budget=NO_BUDGET,
    )

    text, values = as_text(shown), as_json(shown)

    assert "machine 1 for extract (slow): 2 vCPU, 2 GiB memory" in text
    assert "instead of 2.0300 EUR if extract and transform have a machine each" in text
    assert "not chosen: extract and transform share one machine: 2.2000 EUR" in text
    fetching = values["placements"][:2]
    assert [one["stages"][0]["sources"] for one in fetching] == [["slow"], ["wide"]]
    assert values["alternatives"][0]["sharing"] == "extract and transform have a machine each"
    assert values["alternatives"][0]["total"] == {"amount": "2.03", "currency": "EUR"}


def test_of_equal_costs_one_worker_wins() -> None:
    free = [replace(one, hourly=replace(one.hourly, amount=Decimal(0))) for one in (SMALL, LARGE)]

    assert workers(plan(pipeline("slow", "wide", slow=SLOW, wide=WIDE), *free)) == [
        ("extract and transform", "large")
    ]


def test_this_machine_fetches_all_sources_on_one_worker_whatever_they_need() -> None:
    mine = replace(SMALL, provider="mine", hourly=replace(SMALL.hourly, amount=Decimal(0)))
    stages = planned_stages(pipeline("slow", "wide", slow=SLOW, wide=WIDE))

    found = make_plan(stages, [mine, LARGE], start=NOON, exchange=Exchange(), owned={"mine"})

    assert workers(found) == [("extract and transform", "small")]


def test_short_sources_share_the_hour_that_one_worker_pays() -> None:
    needs = {"a": SourceNeeds(expected=5 * MINUTE), "b": SourceNeeds(expected=5 * MINUTE)}

    found = plan(pipeline("a", "b", **needs), SMALL, MIDDLE)

    assert workers(found) == [("extract and transform", "middle")]
    assert found.why == (
        "extract and transform share one machine: expected cost 0.0300 EUR, instead of 0.0500 EUR "
        "if extract (a), extract (b) and transform have a machine each"
    )


def test_sources_for_different_processors_have_a_worker_each() -> None:
    arm = replace(SMALL, architecture="arm64", instance_type="arm")
    needs = {
        "a": SourceNeeds(architectures=("x86_64",)),
        "b": SourceNeeds(architectures=("arm64",)),
    }

    found = plan(pipeline("a", "b", **needs), SMALL, MIDDLE, arm)

    assert [name for name, _ in workers(found)] == [
        "extract (a)",
        "extract (b)",
        "transform",
    ]
    assert found.alternatives[-1].reason.endswith("the sources need different processors")


def test_each_worker_learns_from_its_own_runs_and_never_from_what_is_set_by_hand() -> None:
    learnt = {"extract": 50 * MINUTE, "extract (b)": 20 * MINUTE}
    unset = pipeline("a", "b", a=SourceNeeds(memory_gib=Decimal(2)))

    whole, _ = planned_stages(unset, learnt=learnt.get)

    a, b = whole.ways[0]
    assert (whole.requirements.expected, whole.minutes_learnt) == (50 * MINUTE, True)
    # a alone was never measured: it takes as long as both at most.
    assert [one.requirements.expected for one in (a, b)] == [50 * MINUTE, 20 * MINUTE]

    by_hand, _ = planned_stages(pipeline("a", "b", a=SLOW), learnt=learnt.get)
    a, b = by_hand.ways[0]
    assert (a.requirements.expected, a.minutes_configured) == (600 * MINUTE, True)
    assert (b.requirements.expected, b.minutes_learnt) == (20 * MINUTE, True)
    assert by_hand.requirements.expected == 600 * MINUTE


def test_providers_are_asked_for_machines_of_the_size_of_each_worker() -> None:
    """Some of them build a machine to size."""
    asked = asked_for(planned_stages(pipeline("slow", "wide", slow=SLOW, wide=WIDE)))

    # All sources, with the transform, the transform alone, and each source without and with it.
    assert [(one.vcpus, int(one.memory_gib)) for one in asked] == [
        (2, 66),
        (4, 66),
        (4, 16),
        (2, 2),
        (2, 64),
        (4, 64),
    ]


def test_no_machine_for_one_source_is_said_of_that_source() -> None:
    huge = SourceNeeds(memory_gib=Decimal(500))

    with pytest.raises(
        NoOfferError, match=r"^no machine can run the stage extract \(huge\)\n  acme"
    ):
        plan(pipeline("a", "huge", huge=huge), SMALL, MIDDLE)


# By brute force, from the words of docs/run.md alone.

needs = st.builds(
    SourceNeeds,
    vcpus=st.none() | st.integers(1, 4),
    memory_gib=st.none() | st.integers(1, 12).map(Decimal),
    disk_gib=st.none() | st.integers(1, 20),
    architectures=st.none() | st.sampled_from((("x86_64",), ("arm64",), ("x86_64", "arm64"))),
    dedicated=st.none() | st.booleans(),
    expected=st.none() | st.integers(0, 900).map(lambda minutes: minutes * MINUTE),
    output_gib=st.none() | st.sampled_from((Decimal(0), Decimal(1), Decimal(60))),
)
Needs = Mapping[str, SourceNeeds]


def partitions_of(names: Sequence[str]) -> Iterator[list[list[str]]]:
    """Every way to divide *names*."""
    if not names:
        yield []
        return
    first, *rest = names
    for some in partitions_of(rest):
        yield [[first], *some]
        for number, one in enumerate(some):
            yield [*some[:number], [first, *one], *some[number + 1 :]]


def demand(group: Sequence[str], stated: Needs) -> tuple[Requirements, Decimal]:
    """What one worker needs for its sources side by side, and its output; each says something."""
    own, base = [stated[name] for name in group], EXTRACT.requirements

    def added(values: list[Decimal | int | None], together: Decimal | int) -> Decimal:
        known = [Decimal(one) for one in values if one is not None]
        return sum(known, Decimal(0)) + (0 if len(known) == len(values) else together)

    asked = replace(
        base,
        vcpus=max(base.vcpus if one.vcpus is None else one.vcpus for one in own),
        memory_gib=added([one.memory_gib for one in own], base.memory_gib),
        disk_gib=int(added([one.disk_gib for one in own], base.disk_gib)),
        architectures=tuple(
            one
            for one in base.architectures
            if all(one in (each.architectures or base.architectures) for each in own)
        ),
        dedicated=any(one.dedicated or False for one in own),
        expected=max(base.expected if one.expected is None else one.expected for one in own),
    )
    return asked, added([one.output_gib for one in own], EXTRACT.output_gib)


def least(
    names: Sequence[str], stated: Needs, some: Sequence[Offer], start: datetime
) -> tuple[Decimal, bool] | None:
    """The least cost, and whether one worker has it, of every division and every machine."""
    found: list[tuple[Decimal, bool]] = []
    for groups in partitions_of(names):
        groups.sort(key=lambda group: names.index(group[0]))
        for is_shared in (False, True) if len(groups) == 1 else (False,):
            for machines in product(some, repeat=len(groups) + (not is_shared)):
                total = price(groups, machines, stated, start, is_shared=is_shared)
                if total is not None:
                    found.append((total, len(groups) == 1))
    if not found:
        return None
    best = min(total for total, _ in found)
    return best, any(total == best and is_one for total, is_one in found)


def price(
    order: Sequence[Sequence[str]],
    machines: Sequence[Offer],
    stated: Needs,
    start: datetime,
    *,
    is_shared: bool,
) -> Decimal | None:
    begins, ends, total, reader = start, start, Decimal(0), machines[-1]
    for number, machine in enumerate(machines):
        own: list[Requirements] = []
        egress = Decimal(0)
        if number == len(order):
            begins = ends
        if number < len(order):
            asked, egress = demand(order[number], stated)
            own.append(asked)
        if number == len(machines) - 1:
            own.append(TRANSFORM.requirements)
        if (machine.provider, machine.region) == (reader.provider, reader.region):
            egress = Decimal(0)
        if len(own) == 2 and not set(own[0].architectures) & set(own[1].architectures):
            return None
        if any(misfit(machine, one, begins.date()) for one in own):
            return None
        length = own[0].expected
        if len(own) == 2:
            length += max(own[1].expected - BOOT, timedelta(0))
        try:
            total += cost(machine, length, begins, egress).cost.amount
        except ValueError:
            return None
        ends = max(ends, begins + length)
    assert is_shared == (len(order) == len(machines))
    return total


moments = st.datetimes(
    min_value=datetime(2026, 11, 1),  # noqa: DTZ001 -- hypothesis adds the time zone
    max_value=datetime(2027, 3, 1),  # noqa: DTZ001 -- as above
    timezones=st.just(UTC),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(needs, min_size=2, max_size=3),
    st.lists(large_offers() | offers(), min_size=1, max_size=3),
    moments,
)
def test_no_other_division_of_the_sources_and_no_other_machines_are_cheaper(
    stated: list[SourceNeeds], some: list[Offer], start: datetime
) -> None:
    named = dict(zip("abc", stated, strict=False))
    names = tuple(named)
    best = least(names, named, some, start)
    try:
        found = plan(replace(pipeline(*names), source_needs=named), *some, start=start)
    except NoOfferError:
        assert best is None
        return

    assert best is not None
    assert abs(found.total.amount - best[0]) < Decimal("1e-15")
    fetching = [
        stage for one in found.placements for stage in one.stages if stage.name == "extract"
    ]
    assert (len(fetching) == 1) == best[1]
    assert sorted(name for one in fetching for name in one.sources or names) == sorted(names)
    # The quotes have the traffic to where the data is read.
    quoted = sum((one.chosen.shown.amount for one in found.placements), Decimal(0))
    assert abs(quoted - found.total.amount) < Decimal("1e-15")
    assert found.worst.amount == sum(one.worst.amount for one in found.placements)
