"""A schedule: units that systemd understands, lines for cron and GitLab, and what is missing."""

from __future__ import annotations

import inspect
import shlex
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types
from fakes.workshop import Workshop
from materia.errors import ConfigError
from materia_hetzner.provider import Hetzner
from materia_oracle.provider import Oracle
from materia_ovh.provider import Ovh
from materia_runner.artifact.bucket import RETRY_LIMIT
from materia_runner.config.pipeline import Schedule
from materia_runner.notify.webhook import LIMIT as WEBHOOK_LIMIT
from materia_runner.rental.lifecycle import DESTROY_PATIENCE
from materia_runner.run.ledger_copy import LIMIT as COPY_LIMIT
from materia_runner.schedule.cron import cron_time, crontab, gitlab
from materia_runner.schedule.status import RunStatus, after_run, problem_of
from materia_runner.schedule.units import STOP, Installation, refuse_others, units
from materia_scaleway.provider import Scaleway

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
BOTH = Schedule(run="*-*-* 17:30 UTC", sweep=timedelta(minutes=15))
SCHEDULE = '[schedule]\nrun = "*-*-* 17:30 UTC"\nsweep = 15\n'
ANALYZE = shutil.which("systemd-analyze")


def place(folder: Path, user: str | None = None, *, updated_by: Path | None = None) -> Installation:
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return Installation(
        name="coffee",
        directory=folder,
        config=folder / "materia.toml",
        python=python,
        path="/usr/bin:/bin",
        state=folder / "state",
        user=user,
        variables=(("MATERIA_STATE_DIR", f"{folder}/state"),),
        updated_by=updated_by,
    )


def test_a_schedule_is_a_timer_and_a_service_for_runs_and_for_sweeps(tmp_path: Path) -> None:
    made = units(BOTH, place(tmp_path / "p"))

    assert list(made) == [
        "materia-coffee-run.service",
        "materia-coffee-run.timer",
        "materia-coffee-sweep.service",
        "materia-coffee-sweep.timer",
    ]
    run, timer, sweep, sweeps = made.values()
    assert "OnCalendar=*-*-* 17:30 UTC\nPersistent=true\n" in timer
    assert "OnBootSec=2min\nOnUnitInactiveSec=15min\n" in sweeps
    assert "-m materia_runner run --quiet --config " in run
    assert "-m materia_runner sweep --all-providers --config " in sweep
    # systemd's own limit of 90 s would kill a run that destroys its machines.
    for service in (run, sweep):
        assert "KillMode=mixed\nKillSignal=SIGTERM\nTimeoutStopSec=30min\n" in service
        assert "TimeoutStartSec=infinity\n" in service


def test_a_supervisor_takes_over_what_its_channel_names_before_each_run_and_each_sweep(
    tmp_path: Path,
) -> None:
    made = units(BOTH, place(tmp_path, "root", updated_by=Path("/etc/materia/coffee.toml")))

    update = made["materia-coffee-update.service"]
    assert "-m materia_runner schedule update --config /etc/materia/coffee.toml\n" in update
    assert "User=" not in update  # units are root's
    for what in ("run", "sweep"):
        service = made[f"materia-coffee-{what}.service"]
        # Wants, not Requires: when it fails, the release before is used.
        assert "Wants=materia-coffee-update.service\nAfter=materia-coffee-update.s" in service
    assert len(made) == 5


def test_a_stop_gives_more_time_than_the_longest_teardown_takes() -> None:
    patiences = [
        inspect.signature(one).parameters["patience"].default
        for one in (Hetzner, Oracle, Ovh, Scaleway)
    ]
    longest = max(patiences)
    # A create under way; destroy calls until the patience ends, and the last of them.
    machines = longest + DESTROY_PATIENCE + longest
    # The copy of the run; its lease and its status, each read and written; the webhook.
    reports = COPY_LIMIT + 4 * RETRY_LIMIT + WEBHOOK_LIMIT

    assert machines + reports <= STOP


def test_only_what_is_scheduled_gets_units(tmp_path: Path) -> None:
    here = place(tmp_path / "p")

    assert len(units(replace(BOTH, run=None), here)) == 2
    with pytest.raises(ConfigError, match="nothing is scheduled; set"):
        units(Schedule(), here)


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("user", [None, "root"], ids=["user", "system"])
@pytest.mark.parametrize("folder", ["plain", "a folder", "per%cent", "\u00fcml\u00e4ut"])
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path, user: str | None, folder: str) -> None:
    assert ANALYZE is not None
    written = tmp_path / "units"
    written.mkdir()
    config = user and tmp_path / folder / "coffee.toml"
    here = place(tmp_path / folder, user, updated_by=config or None)
    for name, text in units(BOTH, here).items():
        (written / name).write_text(text)

    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", *map(str, sorted(written.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )

    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "coffee" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize(
    "folder", ["two\nlines", "space at the end ", 'o"dd', "do$lar", "semi;colon", "back\\slash"]
)
def test_a_path_that_no_unit_can_have_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ConfigError, match="a systemd unit cannot have the path"):
        units(BOTH, place(tmp_path / folder))


@pytest.mark.parametrize(
    ("calendar", "fields"),
    [
        ("*-*-* 17:30 UTC", "30 17 * * *"),
        ("17:05:00", "5 17 * * *"),
        ("*:00", "0 * * * *"),
        ("Mon..Fri 06:00", "0 6 * * 1-5"),
        ("Sat,Sun 9:15", "15 9 * * 6,7"),
        ("*-*-12 08:00 UTC", "0 8 12 * *"),
        ("*-*-01,15 08:00", "0 8 1,15 * *"),
        ("Monthly", "0 0 1 * *"),
    ],
)
def test_a_calendar_expression_in_the_notation_of_cron(calendar: str, fields: str) -> None:
    assert cron_time(calendar) == fields
    if ANALYZE:
        subprocess.run([ANALYZE, "calendar", calendar], check=True, capture_output=True)


@pytest.mark.parametrize(
    "calendar",
    [
        "*-*-* *:0/5",
        "2026-01-01",
        "Moo 08:00",
        "quarterly",
        "25:00",
        "08:75",
        "*-*-32 08:00",
        "Fri..Mon 06:00",
    ],
)
def test_what_cron_cannot_say_is_refused(calendar: str) -> None:
    with pytest.raises(ConfigError, match="has no translation to cron here"):
        cron_time(calendar)


def test_a_day_of_the_month_on_a_weekday_is_refused_because_cron_takes_either() -> None:
    with pytest.raises(ConfigError, match="each of these days of the month, and on each of"):
        cron_time("Mon *-*-12 08:00")


def test_lines_for_cron_keep_a_run_from_starting_twice(tmp_path: Path) -> None:
    lines = crontab(BOTH, place(tmp_path / "per%cent")).splitlines()

    *head, _, _ = lines
    run, sweep = lines[-2:]
    # As in the units: another file is another pipeline, another ledger has no orphans.
    assert run.endswith(f" run --quiet --config {tmp_path}/per\\%cent/materia.toml")
    assert sweep.endswith(f" sweep --all-providers --config {tmp_path}/per\\%cent/materia.toml")
    assert f"MATERIA_STATE_DIR={tmp_path}/per%cent/state" in head
    assert run.startswith("30 17 * * * cd ")
    # Another user of this computer cannot hold it, as in /tmp.
    state = f"{tmp_path}/per\\%cent/state"
    assert f" mkdir -p -m 700 {state} && flock -n {state}/coffee.cron " in run
    assert sweep.startswith("*/15 * * * * cd ")
    assert "per\\%cent" in run


def test_jobs_for_gitlab_start_in_their_own_schedule_alone() -> None:
    text = gitlab(BOTH, packages=["materia-pipelines[s3]", "acme-cloud"], config=Path("a b.toml"))

    jobs = yaml.safe_load(text)
    assert set(jobs) == {"run", "sweep"}
    for task, job in jobs.items():
        assert job["rules"] == [{"if": f'$CI_PIPELINE_SOURCE == "schedule" && $TASK == "{task}"'}]
        install, command = job["script"]
        assert install == "pip install --quiet 'materia-pipelines[s3]' acme-cloud"
        assert command.endswith(" --config 'a b.toml'")
    assert "#   30 17 * * *      TASK=run" in text


def test_units_of_two_users_do_not_share_the_state_folder_of_the_machine(tmp_path: Path) -> None:
    first = units(BOTH, place(tmp_path / "a b 100%", "alice"))
    second = {
        name.replace("coffee", "cocoa"): text
        for name, text in units(BOTH, place(tmp_path / "c", "bob")).items()
    }

    # systemd would give all of it to bob, also while a run of alice has a machine.
    with pytest.raises(ConfigError, match=r"materia-coffee-\w+.service runs as alice"):
        refuse_others(second, first)
    refuse_others(second, {name: text.replace("alice", "bob") for name, text in first.items()})
    run = {"materia-coffee-run.service": first["materia-coffee-run.service"]}
    refuse_others({"materia-coffee-run.service": run.popitem()[1].replace("alice", "bob")}, first)


@pytest.mark.parametrize("name", ["no-such-user", "root\nExecStartPre=/bin/sh"])
def test_units_run_as_no_user_that_the_machine_lacks(workshop: Workshop, name: str) -> None:
    workshop.write("materia.toml", SCHEDULE)

    done = workshop.run("schedule", "show", "--system", "--user", name)

    assert (done.returncode, done.stdout) == (2, "")
    assert "is no user of this machine; give --user NAME" in done.stderr


def test_jobs_for_gitlab_install_the_plugins_of_the_pipeline(workshop: Workshop) -> None:
    workshop.write("materia.toml", f'provider = "hetzner"\n{SCHEDULE}')

    jobs = yaml.safe_load(workshop.run("schedule", "show", "--gitlab").stdout)

    for job in jobs.values():
        packages = shlex.split(job["script"][0])[3:]
        assert packages[0] == "materia-pipelines[esc,s3,ssh]"
        assert {"materia-hetzner", "materia-psdonline", "materia-duckdb"} <= set(packages)
        assert "--config" not in job["script"][1]


def status(good: timedelta | None, code: int = 0) -> RunStatus:
    return RunStatus(
        host="supervisor",
        ended_at=NOW - timedelta(hours=1),
        exit_code=code,
        good_at=None if good is None else NOW - good,
    )


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (None, "no run of coffee is known"),
        (status(None, 1), "no run of coffee has succeeded: the last run ended 2026-11-30 11:00"),
        (status(timedelta(hours=37), 3), "37 h ago; the last run ended 2026-11-30 11:00 UTC on su"),
        (status(timedelta(hours=-2)), "which is in the future: set the clock of supervisor"),
        (status(timedelta(hours=35)), None),
        (status(timedelta(hours=36)), None),
        (status(timedelta(minutes=-5)), None),
    ],
)
def test_a_good_run_that_is_missing_or_old_or_of_the_future_is_a_problem(
    known: RunStatus | None, words: str | None
) -> None:
    said = problem_of(known, pipeline="coffee", oldest=timedelta(hours=36), now=NOW)

    assert (words is None) == (said is None)
    assert words is None or words in (said or "")


def test_a_run_that_fails_leaves_the_last_good_one_known() -> None:
    good = after_run(None, host="a", now=NOW, code=0)
    bad = after_run(good, host="b", now=NOW + timedelta(hours=1), code=4)

    assert (bad.good_at, bad.exit_code, bad.host) == (NOW, 4, "b")


def test_without_a_bucket_the_check_reads_the_ledger_of_whole_runs(folders: Workshop) -> None:
    before = folders.run("schedule", "check")
    sample = folders.run("run", "--sample", "--quiet")
    trial = folders.run("schedule", "check")
    done = folders.run("run", "--quiet")
    after = folders.run("schedule", "check")

    assert (before.returncode, trial.returncode) == (1, 1)
    assert "no run of folder is known" in before.stderr
    assert (sample.returncode, done.returncode) == (0, 0)
    assert after.returncode == 0, after.stderr
    assert "the last good run of folder ended " in after.stdout
