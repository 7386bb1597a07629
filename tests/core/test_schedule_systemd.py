"""The units of a schedule in a real systemd: fired, made up, failing, stopped in mid-run."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.own_systemd import OwnSystemd, why_not
from fakes.rented import Rented, with_packages
from fakes.webhook import WebhookServer
from fakes.workshop import TESTS, Workshop, wait_until
from materia_runner.config.pipeline import Schedule
from materia_runner.schedule.units import Installation, units
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(bool(why_not()), reason=str(why_not())),
]
QUICK = "[Timer]\nAccuracySec=100ms\n"
VISIBLE = "PrivateTmp=no\n"  # the test's own folder is below /tmp
RUN = "materia-coffee-run"
Boot = Callable[..., OwnSystemd]


@pytest.fixture
def hook() -> Iterator[WebhookServer]:
    server = WebhookServer()
    yield server
    server.close()


@pytest.fixture
def boot(workshop: Workshop, tmp_path: Path) -> Iterator[Boot]:
    """Boots a systemd with the units of a schedule for the workshop."""
    running: list[OwnSystemd] = []

    def start(calendar: str, **more: str) -> OwnSystemd:
        site = workshop.directory.parent / "site"
        place = Installation(
            name="coffee",
            directory=workshop.directory,
            config=workshop.directory / "materia.toml",
            python=Path(sys.executable),
            path=os.environ["PATH"],
            state=workshop.directory.parent / "state",
            user="root",
            variables=(("PYTHONPATH", f"{TESTS}:{site}"),),
        )
        made = units(Schedule(run=calendar), place)
        lines = "".join(f"Environment={name}={value}\n" for name, value in more.items())
        systemd = OwnSystemd(
            tmp_path / "systemd",
            {
                **made,
                f"{RUN}.timer.d/quick.conf": QUICK,
                f"{RUN}.service.d/test.conf": f"[Service]\n{VISIBLE}{lines}",
            },
            bound=[tmp_path],
        )
        running.append(systemd)
        return systemd

    yield start
    for systemd in running:
        systemd.close()


def secrets(workshop: Workshop, **values: str) -> None:
    workshop.write(".env", "".join(f"{name}='{value}'\n" for name, value in values.items()))
    (workshop.directory / ".env").chmod(0o600)


@pytest.fixture
def notified(folders: Workshop, hook: WebhookServer) -> Workshop:
    text = (folders.directory / "materia.toml").read_text()
    folders.write("materia.toml", f"{text}[notify]\nruns = true\n")
    secrets(folders, MATERIA_RUN_WEBHOOK=hook.address)
    return folders


def test_a_timer_starts_one_run_after_the_other_and_each_failure_is_one_message(
    notified: Workshop, hook: WebhookServer, boot: Boot
) -> None:
    notified.write("in/2024-02.csv", f"#crash\n{hook.address}\n")

    systemd = boot("*:*:0/2")
    wait_until(lambda: len(hook.pings) >= 4, "two runs")

    assert [ping.path for ping in hook.pings[:4]] == ["/start", "/1", "/start", "/1"]
    assert "planted" not in hook.pings[1].text
    shown = systemd.systemctl("show", f"{RUN}.service", "--property=Result,ExecMainStatus").stdout
    assert "Result=exit-code" in shown or "Result=success" in shown  # the next one may run


def test_a_run_that_was_missed_while_the_machine_was_off_is_made_up_once(
    notified: Workshop, hook: WebhookServer, boot: Boot, tmp_path: Path
) -> None:
    notified.write("in/2024-02.csv", "#crash\n")
    stamps = tmp_path / "systemd/timers"
    stamps.mkdir(parents=True)
    stamp = stamps / f"stamp-{RUN}.timer"
    stamp.touch()
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(stamp, (two_days_ago, two_days_ago))
    later = datetime.now(UTC) + timedelta(hours=3)

    boot(f"*-*-* {later:%H:%M} UTC")
    wait_until(lambda: len(hook.pings) >= 2, "the missed run")
    time.sleep(3)  # for a second one, that must not come

    assert [ping.path for ping in hook.pings] == ["/start", "/1"]


def test_a_clock_that_was_ahead_keeps_no_run_from_starting(
    notified: Workshop, hook: WebhookServer, boot: Boot, tmp_path: Path
) -> None:
    notified.write("in/2024-02.csv", "#crash\n")
    stamps = tmp_path / "systemd/timers"
    stamps.mkdir(parents=True)
    (stamps / f"stamp-{RUN}.timer").touch()
    ahead = (datetime.now(UTC) + timedelta(days=400)).timestamp()
    os.utime(stamps / f"stamp-{RUN}.timer", (ahead, ahead))

    boot("*:*:0/2")
    wait_until(lambda: len(hook.pings) >= 2, "a run at the time that the clock shows now")

    assert [ping.path for ping in hook.pings[:2]] == ["/start", "/1"]


def test_a_run_goes_on_when_its_schedule_is_removed_and_a_stop_still_gives_it_time(
    notified: Workshop, hook: WebhookServer, boot: Boot
) -> None:
    notified.write("in/2024-02.csv", "#hang\n")
    text = notified.write(
        "materia.toml",
        (notified.directory / "materia.toml").read_text() + '[schedule]\nrun = "*-*-* 03:00"\n',
    )
    text.write_text(f'name = "coffee"\n{text.read_text()}')
    systemd = boot("*-*-* 03:00")
    systemd.systemctl("start", "--no-block", f"{RUN}.service")
    wait_until(lambda: len(hook.pings) >= 1, "the start of the run")

    variables = [f"{name}={value}" for name, value in notified.environment().items()]
    command = notified.command("schedule", "remove", "--system", "--config", str(text))
    removed = systemd.inside(
        "/usr/bin/env", "-i", f"--chdir={notified.directory}", *variables, *command
    )

    assert removed.returncode == 0, removed.stderr
    assert systemd.systemctl("cat", f"{RUN}.timer").returncode != 0
    names = "ActiveState,KillMode,TimeoutStartUSec,TimeoutStopUSec"
    shown = systemd.systemctl("show", f"{RUN}.service", f"--property={names}").stdout
    # Without a unit it would end after 90 s, and its worker before it.
    assert sorted(shown.split()) == [
        "ActiveState=activating",
        "KillMode=mixed",
        "TimeoutStartUSec=infinity",
        "TimeoutStopUSec=30min",
    ]
    systemd.systemctl("stop", f"{RUN}.service")
    assert [ping.path for ping in hook.pings] == ["/start", "/143"]


@pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))
def test_a_run_that_is_stopped_in_the_middle_destroys_its_machine_before_the_unit_is_dead(
    workshop: Workshop, hook: WebhookServer, boot: Boot, tmp_path: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Rented(workshop, ["hetzner"], cache=tmp_path / "cache") as rented,
    ):
        asked, ended = threading.Event(), threading.Event()

        def answer_never() -> None:
            connection, _ = silent.accept()
            with connection:
                asked.set()
                ended.wait()

        thread = threading.Thread(target=answer_never)
        thread.start()
        rented.write(
            'provider = "hetzner"\n[notify]\nruns = true\n'
            f'[sources.psdonline]\nbase_url = "http://127.0.0.1:{silent.getsockname()[1]}"\n'
        )
        secrets(workshop, MATERIA_RUN_WEBHOOK=hook.address, **rented.clouds["hetzner"].secrets())
        systemd = boot("*-*-* 03:00", **with_packages())
        systemd.systemctl("start", "--no-block", f"{RUN}.service")
        assert asked.wait(240), hook.pings
        assert rented.left() != []

        stopped = systemd.systemctl("stop", f"{RUN}.service")
        left = rented.left()
        ended.set()
        thread.join()

    assert (stopped.returncode, left) == (0, [])
    assert [ping.path for ping in hook.pings] == ["/start", "/143"]
    assert "stopped by a signal" in hook.pings[1].text
