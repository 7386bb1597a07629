from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.rows import MINUTE, NOON, euro, machine_row, run_row, write_machine
from materia.errors import ConfigError
from materia_runner.folders import state_folder
from materia_runner.ledger.state import KEPT_RUNS, State
from materia_runner.rental.sweep_ledger import close_dead_runs

HOLDER = """
import sys, time
from pathlib import Path
from materia_runner.ledger.state import State
with State(Path(sys.argv[1])).hold(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
print("left", flush=True)
"""
NOBODY = 65534


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def holder(state: State, run: str) -> subprocess.Popen[str]:
    """A process that holds *run* until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state.folder), run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"MATERIA_STATE_DIR": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/s"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/materia"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/materia"),
        ({"MATERIA_STATE_DIR": "", "HOME": "/h"}, "/h/.local/state/materia"),
        ({"HOME": "/"}, "/.local/state/materia"),
    ],
)
def test_the_folder_is_the_first_that_is_named(environment: dict[str, str], folder: str) -> None:
    assert state_folder(environment) == Path(folder)


def test_a_relative_folder_starts_where_the_command_does() -> None:
    assert state_folder({"MATERIA_STATE_DIR": "kept"}) == Path.cwd() / "kept"


def test_without_a_home_folder_nothing_breaks() -> None:
    code = (
        "import os, pwd; from materia_runner.folders import state_folder;"
        "from materia_runner.ledger.state import State;"
        "os.setuid(54321);"
        "state = State(state_folder({})); print(state.folder, state.unfinished())"
    )
    if os.getuid() != 0:
        pytest.skip("only root can become somebody without a home folder")

    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout == "/.local/state/materia ()\n"


def test_a_run_is_alive_as_long_as_its_process_and_leaves_nothing(state: State) -> None:
    process = holder(state, "one")

    assert state.is_alive("one")
    assert state.unfinished() == ()
    out, _ = process.communicate("")
    assert out == "left\n"
    assert not state.is_alive("one")
    assert state.unfinished() == ()
    assert list((state.folder / "alive").iterdir()) == []


def test_a_killed_run_is_unfinished_until_nothing_of_it_is_left(state: State) -> None:
    with state.ledger() as ledger:
        ledger.begin_run(run_row("one"))
        ledger.intend_machine(machine_row(run="one"))
    process = holder(state, "one")
    process.kill()
    process.communicate()

    assert not state.is_alive("one")
    assert state.unfinished() == ("one",)
    assert not state.settle("one")
    assert state.unfinished() == ("one",)
    with state.ledger() as ledger:
        ledger.machine_gone("m", at=NOON, cost=euro("0.01"))
    assert not state.settle("one")
    with state.ledger() as ledger:
        ledger.end_run("one", "interrupted", at=NOON)
    assert state.settle("one")
    assert state.settle("one")
    assert state.unfinished() == ()


def test_a_run_whose_end_could_not_be_written_down_stays_unfinished(state: State) -> None:
    with state.hold("one"), state.ledger() as ledger:
        ledger.begin_run(run_row("one"))

    assert state.unfinished() == ("one",)
    with state.ledger() as ledger:
        close_dead_runs(state, ledger, at=NOON)
        assert ledger.run("one").state == "interrupted"
    assert state.unfinished() == ()


def test_a_run_that_ends_with_a_machine_left_stays_unfinished(state: State) -> None:
    def fail() -> None:
        with state.hold("one"), state.ledger() as ledger:
            ledger.begin_run(run_row("one"))
            ledger.intend_machine(machine_row(run="one"))
            raise RuntimeError("the provider does not answer")

    with pytest.raises(RuntimeError, match="does not answer"):
        fail()

    assert state.unfinished() == ("one",)


def test_a_run_is_never_seen_dead_while_it_begins(state: State) -> None:
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.update(state.unfinished())

    looking = threading.Thread(target=look)
    looking.start()
    for number in range(60):
        with state.hold(f"run-{number}"):
            assert state.is_alive(f"run-{number}")
    ended.set()
    looking.join()

    assert seen == set()


def test_a_worker_made_by_hand_is_alive_until_its_deadline(state: State) -> None:
    now = datetime.now(UTC)
    with state.hold("by-hand"), state.ledger() as ledger:
        ledger.begin_run(run_row("by-hand"))
        ledger.intend_machine(machine_row(run="by-hand"))
        state.keep_until("by-hand", now + timedelta(hours=1))

    assert state.is_alive("by-hand")
    assert state.unfinished() == ()
    state.keep_until("by-hand", now)
    assert not state.is_alive("by-hand")
    assert state.unfinished() == ("by-hand",)


def test_looking_makes_nothing(state: State) -> None:
    assert state.unfinished() == ()
    assert not state.is_alive("one")
    assert state.log_file("one", "extract", 2) == state.folder / "runs/one/extract.2.log"
    assert not state.folder.exists()


def test_what_is_kept_is_for_its_owner_alone(state: State) -> None:
    state.run_folder("one")

    assert state.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_told_with_the_way_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state = State(tmp_path / "file" / "state")

    for use in (state.ledger, lambda: state.run_folder("one"), state.hold("one").__enter__):
        with pytest.raises(ConfigError, match=r"file/state.*; .*MATERIA_STATE_DIR"):
            use()


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from materia.errors import ConfigError
from materia_runner.ledger.state import State
import materia_runner.ledger.ledger
os.setuid(int(sys.argv[2]))
try:
    State(Path(sys.argv[1])).ledger()
except ConfigError as error:
    print(error)
"""


def test_a_folder_of_somebody_else_is_told(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = Path("/run") if not tmp_path.is_relative_to("/run") else Path("/etc")

    ended = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(folder / "materia-state"), str(NOBODY)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "/materia-state: Permission denied; make the folder writable" in ended.stdout
    assert "MATERIA_STATE_DIR" in ended.stdout


def test_plans_and_logs_of_old_runs_go_and_what_they_cost_stays(state: State) -> None:
    with state.ledger() as ledger:
        for number in range(KEPT_RUNS + 3):
            run = f"run-{number:04}"
            ledger.begin_run(run_row(run))
            ledger.save_plan(run, {"cost": "1"})
            if number != 1:  # this one has not ended
                ledger.end_run(run, "ok", at=NOON)
            (state.run_folder(run) / "extract.1.log").write_text("fetched\n")
        write_machine(ledger, machine_row(run="run-0000"), lengths=(MINUTE,))

        for _ in range(2):
            state.prune()

            lost = [row.run for row in ledger.runs() if ledger.plan(row.run) is None]
            assert sorted(lost) == ["run-0000", "run-0002"]
            logs = {folder.name for folder in (state.folder / "runs").iterdir()}
            assert len(logs) == KEPT_RUNS + 1
            assert logs.isdisjoint(lost)
        assert len(ledger.costs(now=NOON)) == 1


def test_a_label_that_is_no_identity_of_a_run_is_no_path(state: State, tmp_path: Path) -> None:
    (state.folder / "alive").mkdir(parents=True)
    (tmp_path / "secret").touch()

    for name in ("../../secret", str(tmp_path / "secret"), "", ".", "a/b", "a\0b", "-"):
        assert not state.was_left(name)
        assert not state.is_alive(name)
