"""`materia schedule install`, `status` and `remove`: a systemctl notes what it is asked."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from fakes.workshop import Workshop

SCHEDULE = '[schedule]\nrun = "*-*-* 17:30 UTC"\nsweep = 15\n'
ANALYZE = shutil.which("systemd-analyze")
SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> "$HOME/systemctl.log"
if [ -e "$HOME/away" ]; then
  echo "Failed to connect to bus: No medium found" >&2
  exit 1
fi
case "$*" in
  *"show materia-psdonline-run.timer"*)
    printf 'LoadState=loaded\\nNextElapseUSecRealtime=Mon 17:30\\nLastTriggerUSec=Sun 17:30\\n' ;;
  *"show materia-psdonline-run.service"*)
    if [ -e "$HOME/runs" ]; then printf 'ActiveState=activating\\n'; fi
    printf 'Result=exit-code\\nExecMainStatus=4\\n' ;;
  *"show materia-psdonline-update.service"*)
    if [ -e "$HOME/follows" ]; then
      printf 'LoadState=loaded\\nResult=exit-code\\nExecMainStatus=1\\n'
    fi ;;
  *show*) printf 'LoadState=not-found\\n' ;;
  *enable*) if [ -e "$HOME/broken" ]; then echo "Unit is masked." >&2; exit 1; fi ;;
esac
"""


class Desk:
    """A workshop with a systemctl that notes what it is asked."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.folder = workshop.home / ".config/systemd/user"
        programs = workshop.home / "bin"
        programs.mkdir()
        program = programs / "systemctl"
        program.write_text(SYSTEMCTL)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self._path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        workshop.write("materia.toml", SCHEDULE)

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.workshop.run("schedule", *arguments, environment={"PATH": self._path, **more})

    def asked(self) -> list[str]:
        return (self.workshop.home / "systemctl.log").read_text().splitlines()


@pytest.fixture
def desk(workshop: Workshop) -> Desk:
    return Desk(workshop)


def test_install_writes_what_show_shows_and_starts_the_timers(desk: Desk) -> None:
    shown = desk.run("show")
    done = desk.run("install")
    again = desk.run("install")

    assert (done.returncode, again.returncode) == (0, 0), done.stderr
    files = sorted(desk.folder.iterdir())
    assert len(files) == 4
    for file in files:
        assert f"# ~/.config/systemd/user/{file.name}\n{file.read_text()}" in shown.stdout
    assert desk.asked()[:4] == [
        "--user show --property=Version",
        "--user daemon-reload",
        "--user enable materia-psdonline-run.timer materia-psdonline-sweep.timer",
        "--user restart materia-psdonline-run.timer materia-psdonline-sweep.timer",
    ]
    assert "loginctl enable-linger" in done.stderr


def test_install_stops_what_is_scheduled_no_longer(desk: Desk) -> None:
    desk.run("install")
    desk.workshop.write("materia.toml", "[schedule]\nsweep = 15\n")
    done = desk.run("install")

    assert done.returncode == 0, done.stderr
    assert {file.name for file in desk.folder.iterdir()} == {
        "materia-psdonline-sweep.service",
        "materia-psdonline-sweep.timer",
    }
    assert "--user disable --now materia-psdonline-run.timer" in desk.asked()


def test_remove_deletes_its_own_units_alone(desk: Desk) -> None:
    desk.run("install")
    other = desk.folder / "materia-cocoa-run.timer"
    other.write_text("of another pipeline")
    (desk.folder / "materia-psdonline-update.service").write_text("of a supervisor")
    done, again = desk.run("remove"), desk.run("remove")

    assert [file.name for file in desk.folder.iterdir()] == [other.name]
    assert done.stdout.count("deleted ") == 5
    assert "no schedule of psdonline is installed" in again.stdout
    assert any("disable --now materia-psdonline-run.timer" in line for line in desk.asked())


def test_remove_leaves_the_unit_of_a_run_under_way_until_the_machine_is_off(desk: Desk) -> None:
    desk.run("install")
    (desk.workshop.home / "runs").touch()
    unit = (desk.folder / "materia-psdonline-run.service").read_text()

    done = desk.run("remove", XDG_RUNTIME_DIR=str(desk.workshop.home / "off"))

    assert done.returncode == 0, done.stderr
    assert list(desk.folder.iterdir()) == []
    (left,) = (desk.workshop.home / "off/systemd/user").iterdir()
    assert (left.name, left.read_text()) == ("materia-psdonline-run.service", unit)


def test_a_second_folder_does_not_take_over_the_units_of_the_first(desk: Desk) -> None:
    desk.run("install")
    before = {file.name: file.read_text() for file in desk.folder.iterdir()}
    other = desk.workshop.write("second/materia.toml", SCHEDULE)

    done = desk.run("install", "--config", str(other))

    assert done.returncode == 2
    first = desk.workshop.directory / "materia.toml"
    assert f"is the schedule of {first} already; set another `name`" in done.stderr
    assert {file.name: file.read_text() for file in desk.folder.iterdir()} == before
    first.unlink()  # the folder was renamed
    assert desk.run("install", "--config", str(other)).returncode == 0


def test_what_systemctl_refuses_is_an_error_with_its_words(desk: Desk) -> None:
    (desk.workshop.home / "broken").touch()

    done = desk.run("install")

    assert done.returncode == 2
    assert "systemctl enable failed: Unit is masked." in done.stderr


def test_a_systemd_out_of_reach_is_named_with_the_way_on_and_nothing_is_written(desk: Desk) -> None:
    (desk.workshop.home / "away").touch()

    done = desk.run("install")

    assert done.returncode == 2
    assert "Failed to connect to bus: No medium found; log in as the user" in done.stderr
    assert not desk.folder.exists()


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_a_calendar_that_systemd_does_not_know_is_refused_before_anything_is_written(
    desk: Desk,
) -> None:
    desk.workshop.write("materia.toml", '[schedule]\nrun = "every full moon"\n')

    for command in ("install", "show"):
        done = desk.run(command)
        assert done.returncode == 2
        assert 'schedule.run = "every full moon" is no calendar expression' in done.stderr
    assert not desk.folder.exists()


def test_without_systemd_the_error_names_what_there_is_instead(desk: Desk, tmp_path: Path) -> None:
    done = desk.run("install", PATH=str(tmp_path))

    assert done.returncode == 2
    assert "there is no systemd here" in done.stderr
    assert desk.run("show", "--cron", PATH=str(tmp_path)).returncode == 0
    assert desk.run("show", "--gitlab", PATH=str(tmp_path)).returncode == 0


def test_status_shows_the_timers_and_how_the_run_ended(desk: Desk) -> None:
    timers = json.loads(desk.run("status", "--json").stdout)["timers"]

    assert [timer["installed"] for timer in timers] == [True, False]
    assert (timers[0]["result"], timers[0]["exit_code"]) == ("exit-code", 4)
    assert timers[0]["next_at"] == "Mon 17:30"


def test_status_of_a_supervisor_says_that_its_update_failed(desk: Desk) -> None:
    without = json.loads(desk.run("status", "--json").stdout)
    (desk.workshop.home / "follows").touch()
    shown, values = desk.run("status"), json.loads(desk.run("status", "--json").stdout)

    assert without["update"] is None
    assert values["update"]["exit_code"] == 1
    assert "the one before is in use: `journalctl -u materia-psdonline-update`" in shown.stdout


def test_an_update_elsewhere_than_on_a_supervisor_is_refused(desk: Desk) -> None:
    done = desk.run("update")

    assert done.returncode == 2
    assert "`materia schedule enroll HOST` makes one" in done.stderr
