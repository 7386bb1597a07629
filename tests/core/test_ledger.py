from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.rows import (
    FREE,
    MINUTE,
    NOON,
    OFFER,
    euro,
    machine_row,
    run_row,
    stage_row,
    write_machine,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from materia.cost import cost
from materia.errors import ConfigError, LedgerError
from materia.ledger import Ledger
from materia.ledger_rows import Note
from materia.ledger_values import from_plain
from materia.machines import Money, Offer
from materia.price_cache import plain
from strategies.offers import durations, offers


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with one run."""
    with Ledger(tmp_path / "ledger.db") as opened:
        opened.begin_run(run_row())
        yield opened


@settings(max_examples=30)
@given(offers(), durations(50))
def test_an_offer_and_its_bill_come_back_as_they_were(offer: Offer, duration: timedelta) -> None:
    quote = cost(offer, duration, NOON)

    assert from_plain(Offer, plain(offer)) == offer
    for line in quote.lines:
        assert from_plain(type(line), plain(line)) == line


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

    assert from_plain(Offer, written) == replace(OFFER, extras=())


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


def test_a_machine_of_two_stages_is_divided_by_their_time_to_the_last_digit(
    ledger: Ledger,
) -> None:
    row = machine_row(stages=("extract", "transform"))
    write_machine(ledger, row, lengths=(4 * MINUTE, 8 * MINUTE))
    whole = cost(OFFER, 14 * MINUTE, NOON).cost

    extract, transform = ledger.costs(now=NOON)

    assert (extract.stage, transform.stage) == ("extract", "transform")
    assert extract.cost.amount + transform.cost.amount == whole.amount
    assert extract.estimate.amount + transform.estimate.amount == row.estimate.amount
    assert extract.time + transform.time == 14 * MINUTE
    assert abs(2 * extract.cost.amount - transform.cost.amount) < Decimal("1e-8")


@settings(max_examples=40)
@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=5), offers(), durations(20))
def test_shares_sum_to_the_whole(lengths: list[int], offer: Offer, duration: timedelta) -> None:
    from materia.ledger_costs import cost_rows

    stages = tuple(f"s{number}" for number in range(len(lengths)))
    bill = cost(offer, duration, NOON)
    machine = replace(
        machine_row(stages=stages, offer=offer), state="gone", gone_at=NOON, cost=bill.cost
    )
    attempts = [
        replace(stage_row(name), ended_at=NOON + timedelta(microseconds=length))
        for name, length in zip(stages, lengths, strict=True)
    ]

    rows = cost_rows([machine], attempts, NOON)

    assert len(rows) == (len(stages) if machine.rented else 0)
    if rows:
        assert sum(row.cost.amount for row in rows) == bill.cost.amount
        assert all(row.cost.amount >= -Decimal("1e-8") for row in rows)


def test_costs_are_of_the_month_provider_and_stage_and_leave_out_what_costs_nothing(
    ledger: Ledger,
) -> None:
    october = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)
    dollars = replace(
        OFFER,
        provider="bolt",
        hourly=Money(Decimal(1), "USD"),
        extras=(),
    )
    for name, at, offer in (
        ("a", october, OFFER),
        ("b", NOON, OFFER),
        ("c", NOON, dollars),
        ("d", NOON, FREE),
    ):
        ledger.begin_run(run_row(name, at=at))
        row = machine_row(name, run=name, at=at, offer=offer)
        write_machine(ledger, row, lengths=(5 * MINUTE,))
    ledger.intend_machine(machine_row("e"))
    ledger.machine_failed("e", "sold out")

    rows = ledger.costs(now=NOON)

    assert [(row.month, row.provider, row.machines, row.cost.currency) for row in rows] == [
        ("2026-10", "acme", 1, "EUR"),
        ("2026-11", "acme", 1, "EUR"),
        ("2026-11", "bolt", 1, "USD"),
    ]
    assert len(ledger.costs(since=NOON, now=NOON)) == 2
    assert ledger.month_spent(october.date(), NOON) == (cost(OFFER, 7 * MINUTE).cost,)
    assert [spent.currency for spent in ledger.month_spent(NOON.date(), NOON)] == ["EUR", "USD"]
    assert ledger.month_spent(NOON.date().replace(month=9), NOON) == ()


def test_an_open_machine_counts_with_its_worst_case_and_with_more_when_it_is_past_that(
    ledger: Ledger,
) -> None:
    row = machine_row()
    ledger.intend_machine(row)
    ledger.machine_created("m", id="1", region="north", created_at=NOON, at=NOON)

    assert ledger.month_spent(NOON.date(), NOON + MINUTE) == (row.worst,)
    late = NOON + timedelta(hours=100)
    assert ledger.month_spent(NOON.date(), late) == (cost(OFFER, timedelta(hours=100), NOON).cost,)
    [so_far] = ledger.costs(now=NOON + 30 * MINUTE)
    assert (so_far.open, so_far.cost) == (1, cost(OFFER, 30 * MINUTE, NOON).cost)


def test_a_stage_is_expected_to_take_what_it_took_on_rented_machines(ledger: Ledger) -> None:
    assert ledger.expected("beans", "extract") is None
    lengths = [50, 1, 2, 30, 4, 5]
    for number, length in enumerate(lengths):
        run = f"r{number}"
        at = NOON + number * timedelta(hours=2)
        ledger.begin_run(run_row(run, at=at))
        write_machine(ledger, machine_row(f"m{number}", run=run, at=at), lengths=(length * MINUTE,))
    for number, (sample, offer) in enumerate(((True, OFFER), (False, FREE))):
        run = f"x{number}"
        at = NOON + timedelta(days=1)
        ledger.begin_run(run_row(run, at=at, sample=sample))
        write_machine(
            ledger,
            machine_row(f"x{number}", run=run, at=at, offer=offer),
            lengths=(timedelta(hours=9),),
        )

    # The median of the last five, 4 minutes, with a minute of boot and one of teardown.
    assert ledger.expected("beans", "extract") == 6 * MINUTE
    assert ledger.expected("peas", "extract") is None
    assert ledger.expected("beans", "transform") is None


def test_a_stage_that_shared_a_machine_is_expected_to_boot_one_of_its_own(ledger: Ledger) -> None:
    row = machine_row(stages=("extract", "transform"))
    write_machine(ledger, row, lengths=(4 * MINUTE, 8 * MINUTE), boot=2 * MINUTE)

    assert ledger.expected("beans", "extract") == 7 * MINUTE
    assert ledger.expected("beans", "transform") == 11 * MINUTE


WRITER = """
import sys
from pathlib import Path
from fakes.rows import NOON, run_row, machine_row
from materia.ledger import Ledger
name = sys.argv[2]
ledger = Ledger(Path(sys.argv[1]))
ledger.begin_run(run_row(name))
for number in range(int(sys.argv[3])):
    ledger.note(name, at=NOON, stage="", text=str(number))
    ledger.intend_machine(machine_row(f"{name}-{number}", run=name))
    print(number, flush=True)
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that writes two rows for each number, and prints the number."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        text=True,
    )


def test_processes_make_and_write_one_ledger_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    writers = [writer(path, name, 40) for name in ("a", "b", "c")]

    assert [process.communicate()[0].split()[-1] for process in writers] == ["39"] * 3
    with Ledger(path) as ledger:
        assert sorted(row.run for row in ledger.runs()) == ["a", "b", "c"]
        assert [len(ledger.notes(run)) for run in "abc"] == [40] * 3
        assert len(ledger.machines(open_only=True)) == 120


OPENER = """
import sys
from pathlib import Path
import materia.ledger_schema
from materia.ledger import Ledger
print("ready", flush=True)
for path in sys.stdin:
    Ledger(Path(path.strip())).close()
    print("opened", flush=True)
"""


def test_a_ledger_can_be_made_by_several_at_the_same_moment(tmp_path: Path) -> None:
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    paths = "".join(f"{tmp_path / str(number)}.db\n" for number in range(40))
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write(paths)
        opener.stdin.flush()

    said = [opener.communicate() for opener in openers]

    assert said == [("opened\n" * 40, "")] * 3


def test_threads_write_through_one_ledger(ledger: Ledger) -> None:
    def write(number: int) -> bool:
        ledger.note("one", at=NOON, stage="", text=str(number))
        ledger.intend_machine(machine_row(f"m{number}"))
        return ledger.machine_failed(f"m{number}", "sold out")

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(write, range(60)))

    assert sorted(int(note.text) for note in ledger.notes("one")) == list(range(60))
    assert {row.state for row in ledger.machines()} == {"refused"}


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_writer_that_is_killed_has_written_what_it_said_and_breaks_nothing(
    tmp_path: Path, after: int
) -> None:
    path = tmp_path / "ledger.db"
    process = writer(path, "a", 100_000)
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(after)]
    process.kill()
    said += [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()

    with Ledger(path) as ledger:
        machines, notes = ledger.machines(), ledger.notes("a")
        ledger.note("a", at=NOON, stage="", text="and on")
    # What was in the making is there whole or not at all, and the note comes before the machine.
    assert len(said) <= len(machines) <= len(notes) <= len(said) + 1
    assert [note.text for note in notes] == [str(number) for number in range(len(notes))]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


OPEN_WRITE = """
import sys, time
from pathlib import Path
from fakes.rows import NOON, run_row
from materia.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.begin_run(run_row("told"))
with ledger._writing() as connection:
    connection.execute("UPDATE runs SET state = 'failed'")
    connection.execute("INSERT INTO notes (run, at, stage, text) VALUES ('told', '', '', 'half')")
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_reader_is_not_kept_waiting_by_a_write_and_a_killed_one_never_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN_WRITE, str(path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"

    with Ledger(path) as during:
        assert (during.run("told").state, during.notes("told")) == ("running", ())
    process.kill()
    process.wait()
    process.stdout.close()
    with Ledger(path) as after:
        assert (after.run("told").state, after.notes("told")) == ("running", ())
        assert after.end_run("told", "interrupted", at=NOON)


def test_an_exception_inside_a_write_leaves_nothing_of_it(ledger: Ledger) -> None:
    def interrupted() -> None:
        with ledger._writing() as connection:
            connection.execute("UPDATE runs SET state = 'failed'")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert ledger.run("one").state == "running"
    ledger.note("one", at=NOON, stage="", text="on")


def test_a_signal_between_any_two_lines_leaves_the_ledger_usable(ledger: Ledger) -> None:
    class CutOffError(BaseException):
        pass

    def cut_off(*_: object) -> None:
        raise CutOffError

    before = signal.signal(signal.SIGALRM, cut_off)
    cuts = 0
    try:
        for number in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + number))
                try:
                    ledger.note("one", at=NOON, stage="", text=str(number))
                    ledger.intend_machine(machine_row(f"m{number}"))
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except CutOffError:
                cuts += 1
    finally:
        signal.signal(signal.SIGALRM, before)

    assert cuts > 10
    notes = {note.text for note in ledger.notes("one")}
    assert {row.name.removeprefix("m") for row in ledger.machines()} <= notes
    ledger.note("one", at=NOON, stage="", text="on")
    assert not ledger._connection.in_transaction


def test_a_ledger_of_a_newer_materia_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(ConfigError, match=r"newer materia .*version 99, this one knows 1"):
        Ledger(path)


def test_a_damaged_ledger_is_told_with_the_way_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this was never a database, and is long enough to be looked at" * 20)

    with pytest.raises(LedgerError, match=r"damaged .* move it away.*sweep --all-providers"):
        Ledger(path)


def test_a_full_disk_is_told_and_harms_nothing(ledger: Ledger) -> None:
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(LedgerError, match="full"):
        ledger.note("one", at=NOON, stage="", text="x" * 100_000)

    ledger._connection.execute("PRAGMA max_page_count = 100000")
    ledger.note("one", at=NOON, stage="", text="on")
    assert [note.text for note in ledger.notes("one")] == ["on"]


def test_a_ledger_is_for_its_owner_alone(ledger: Ledger) -> None:
    assert ledger.path.stat().st_mode & 0o777 == 0o600
