"""One ledger for many processes and threads that may be killed, and on disks that may be full."""

from __future__ import annotations

import gc
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes.rows import NOON, machine_row
from materia.errors import ConfigError, LedgerError
from materia_runner.ledger.ledger import Ledger

WRITER = """
import sys
from pathlib import Path
from fakes.rows import NOON, run_row, machine_row
from materia_runner.ledger.ledger import Ledger
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
import materia_runner.ledger.schema
from materia_runner.ledger.ledger import Ledger
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
from materia_runner.ledger.ledger import Ledger
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

    # A callback of the garbage collector that the signal cuts off would be reported as a fault.
    gc.collect()
    gc.disable()
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
        gc.enable()

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

    with pytest.raises(ConfigError, match=r"newer materia .*version 99, this one reads 1"):
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
