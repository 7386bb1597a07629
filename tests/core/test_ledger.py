"""What the ledger keeps of runs, stages and machines, and in which order it takes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from fakes.rows import MINUTE, NOON, OFFER, euro, machine_row, run_row, stage_row, write_machine
from hypothesis import given, settings
from materia.compute import Offer
from materia.errors import ConfigError, LedgerError
from materia_runner.codec import decode, plain
from materia_runner.ledger.ledger import Ledger
from materia_runner.ledger.rows import Note
from materia_runner.pricing.cost import cost
from strategies.offers import durations, offers


@settings(max_examples=30)
@given(offers(), durations(50))
def test_an_offer_and_its_bill_come_back_as_they_were(offer: Offer, duration: timedelta) -> None:
    quote = cost(offer, duration, NOON)

    assert decode(Offer, plain(offer)) == offer
    for line in quote.lines:
        assert decode(type(line), plain(line)) == line


def test_every_row_comes_back_as_it_was(ledger: Ledger) -> None:
    machine = replace(machine_row(stages=("extract", "transform")), zone="north-1")
    stage = stage_row()
    ledger.intend_machine(machine)
    ledger.begin_stage(stage)
    ledger.note("one", at=NOON, stage="extract", text="sold out")

    assert ledger.run("one") == run_row()
    assert ledger.machines() == (machine,)
    assert ledger.stages("one") == (stage,)
    assert ledger.notes("one") == (Note(run="one", at=NOON, stage="extract", text="sold out"),)


def test_what_another_version_wrote_is_read_as_far_as_it_is_known() -> None:
    written = {**plain(OFFER), "colour": "green"}
    del written["extras"]

    assert decode(Offer, written, newer=True) == replace(OFFER, extras=())


def test_the_whole_life_of_a_machine_is_kept(ledger: Ledger) -> None:
    bill = cost(OFFER, 7 * MINUTE, NOON)

    write_machine(ledger, machine_row(), lengths=(5 * MINUTE,))

    [row] = ledger.machines(run="one")
    assert (row.state, row.id, row.host) == ("gone", "id-7", "192.0.2.7")
    assert [row.intended_at, row.created_at, row.ready_at, row.destroying_at, row.gone_at] == [
        NOON,
        NOON,
        NOON + MINUTE,
        NOON + 6 * MINUTE,
        NOON + 7 * MINUTE,
    ]
    assert (row.cost, row.lines) == (bill.cost, bill.lines)
    assert row.lasted(NOON) == 7 * MINUTE
    assert not ledger.machines(open_only=True)
    [stage] = ledger.stages("one")
    assert (stage.state, stage.result) == ("ok", {"asked": 3, "fetched": 2})


def test_what_is_gone_stays_gone_and_keeps_its_first_bill(ledger: Ledger) -> None:
    write_machine(ledger, machine_row(), lengths=(5 * MINUTE,))
    before = ledger.machines()

    assert not ledger.machine_gone("m", at=NOON, cost=euro("9"))
    assert not ledger.machine_destroying("m", at=NOON)
    assert not ledger.machine_ready("m", host="elsewhere", at=NOON)
    assert not ledger.machine_failed("m", "no")
    assert not ledger.machine_gone("unheard of", at=NOON, cost=euro("9"))
    assert ledger.machines() == before


def test_the_first_moment_its_end_was_asked_for_stands(ledger: Ledger) -> None:
    ledger.intend_machine(machine_row())

    assert ledger.machine_destroying("m", at=NOON)
    assert ledger.machine_destroying("m", at=NOON + MINUTE)
    assert [row.destroying_at for row in ledger.machines()] == [NOON]


def test_only_an_intent_can_be_refused(ledger: Ledger) -> None:
    ledger.intend_machine(machine_row())
    ledger.machine_created("m", id="1", region="north", created_at=None, at=NOON)

    assert not ledger.machine_failed("m", "sold out")
    assert [row.state for row in ledger.machines(open_only=True)] == ["created"]


def test_a_name_is_free_again_after_a_refusal_and_not_before(ledger: Ledger) -> None:
    ledger.intend_machine(machine_row())
    with pytest.raises(LedgerError, match="name"):
        ledger.intend_machine(machine_row())
    assert ledger.machine_failed("m", "sold out")
    ledger.intend_machine(machine_row())
    ledger.machine_created("m", id="2", region="north", created_at=None, at=NOON)

    assert [(row.state, row.reason, row.id) for row in ledger.machines()] == [
        ("refused", "sold out", ""),
        ("created", None, "2"),
    ]


def test_a_run_ends_once_and_takes_its_stages_along(ledger: Ledger) -> None:
    ledger.begin_stage(stage_row())

    assert ledger.end_run("one", "interrupted", at=NOON + MINUTE, error="Ctrl-C")
    assert not ledger.end_run("one", "ok", at=NOON + 2 * MINUTE)
    assert not ledger.end_stage("one", "extract", 1, state="ok", at=NOON)
    row = ledger.run("one")
    assert (row.state, row.ended_at, row.error) == ("interrupted", NOON + MINUTE, "Ctrl-C")
    assert [stage.state for stage in ledger.stages("one")] == ["interrupted"]


def test_the_newest_plan_counts(ledger: Ledger) -> None:
    assert ledger.plan("one") is None
    ledger.save_plan("one", {"legs": 1})
    ledger.save_plan("one", {"legs": [{"cost": Decimal("0.10")}]})

    assert ledger.plan("one") == {"legs": [{"cost": "0.10"}]}


def test_runs_are_found_by_time_and_by_the_beginning_of_their_name(ledger: Ledger) -> None:
    for number, name in enumerate(("20261124T1300-ab", "20261124T1400-cd", "20261124T14"), 1):
        ledger.begin_run(run_row(name, at=NOON + number * timedelta(hours=1)))

    assert [row.run for row in ledger.runs(limit=2)] == ["20261124T14", "20261124T1400-cd"]
    assert len(ledger.runs(since=NOON + MINUTE)) == 3
    assert ledger.run("20261124T13").run == "20261124T1300-ab"
    assert ledger.run("20261124T14").run == "20261124T14"
    with pytest.raises(ConfigError, match=r"several runs: 20261124T1400-cd, .*1300-ab"):
        ledger.run("20261124T1")
    for unknown in ("2026%", "1400-cd", "_"):
        with pytest.raises(ConfigError, match="no run"):
            ledger.run(unknown)


def test_a_ledger_is_for_its_owner_alone(ledger: Ledger) -> None:
    assert ledger.path.stat().st_mode & 0o777 == 0o600
