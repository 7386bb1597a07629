"""Install, show and remove the units of a schedule with systemctl."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from materia.errors import ConfigError
from materia.kit.files import write_whole

from materia_runner.schedule.units import WHAT, refuse_others

SYSTEM_UNITS = Path("/etc/systemd/system")
UNTIL_OFF = Path("/run/systemd/system")  # what is there is gone when the machine is switched off
LIMIT_SECONDS = 60
OUT_OF_REACH = (
    "log in as the user of the timers, not by su or sudo; or, as root, install them for the whole "
    "machine with --system; without systemd, `materia schedule show --cron` has lines for cron"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerState:
    """What systemd says of a timer and its service.

    Attributes:
        timer: Name of the timer.
        installed: Whether systemd knows it.
        next_at: When it starts the service next, in systemd's words; empty when it does not.
        last_at: When it started the service last; empty for never.
        running: Whether the service runs now.
        result: How the service ended last: `success`, `exit-code`, `signal`, `timeout` ...
        exit_code: Exit code of the service's last run, or None.
    """

    timer: str
    installed: bool
    next_at: str = ""
    last_at: str = ""
    running: bool = False
    result: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What systemd says of a service.

    Attributes:
        service: Name of the service.
        installed: Whether systemd knows it.
        running: Whether it runs now.
        result: How it ended last: `success`, `exit-code`, `signal`, `timeout` ...
        exit_code: Exit code of its last run, or None.
    """

    service: str
    installed: bool
    running: bool = False
    result: str = ""
    exit_code: int | None = None


class Systemd:
    """The systemd of this machine, or that of this user.

    Raises:
        ConfigError: systemctl is not installed.
    """

    def __init__(self, *, user: bool, environment: Mapping[str, str] = os.environ) -> None:
        program = shutil.which("systemctl", path=environment.get("PATH", ""))
        if program is None:
            raise ConfigError(
                "there is no systemd here (no program systemctl); `materia schedule show --cron` "
                "has lines for cron, and --gitlab a schedule of GitLab"
            )
        self._command = [program, *(["--user"] if user else [])]
        self.folder = _user_units(environment) if user else SYSTEM_UNITS
        self._until_off = _user_units_until_off(environment) if user else UNTIL_OFF

    def install(self, name: str, units: Mapping[str, str]) -> None:
        """Write the units, replacing all older ones of the pipeline, and start their timers.

        Raises:
            ConfigError: they would take something from another pipeline, a file cannot be written,
                or systemctl failed.
        """
        self._must("show", "--property=Version")  # before anything is written
        refuse_others(units, self._services())
        self._take_away([file for file in self._installed(name) if file.name not in units])
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for unit, text in units.items():
                write_whole(self.folder / unit, text, mode=0o644)
        except OSError as error:
            raise ConfigError(
                f"cannot write the units to {self.folder}: {error.strerror or error}; for units of "
                "the whole machine, run as root"
            ) from error
        self._must("daemon-reload")
        timers = [unit for unit in units if unit.endswith(".timer")]
        self._must("enable", *timers)
        self._must("restart", *timers)  # an older one is running with the old times

    def remove(self, name: str) -> list[str]:
        """Stop the timers of a pipeline and delete its units; return their names.

        A run that is under way goes on to its end.

        Raises:
            ConfigError: a file cannot be deleted, or systemctl failed.
        """
        files = self._installed(name)
        self._take_away(files)
        return [file.name for file in files]

    def _installed(self, name: str) -> list[Path]:
        return [
            file
            for what in WHAT
            for kind in ("timer", "service")
            if (file := self.folder / f"materia-{name}-{what}.{kind}").is_file()
        ]

    def _services(self) -> dict[str, str]:
        """The text of each service of a schedule, of any pipeline."""
        found = {}
        for file in self.folder.glob("materia-*.service"):
            with suppress(OSError):  # it is of another user, or gone meanwhile
                found[file.name] = file.read_text(encoding="utf-8", errors="replace")
        return found

    def _take_away(self, files: Sequence[Path]) -> None:
        if timers := [file.name for file in files if file.suffix == ".timer"]:
            self._must("disable", "--now", *timers)
        try:
            for file in files:
                if file.suffix == ".service" and self.ended(file.name).running:
                    # Without its unit, the run would be ended when it is 90 s old.
                    self._until_off.mkdir(parents=True, exist_ok=True)
                    write_whole(self._until_off / file.name, file.read_text(), mode=0o644)
                file.unlink()
        except OSError as error:
            raise ConfigError(
                f"cannot take away {error.filename}: {error.strerror or error}"
            ) from error
        if files:
            self._must("daemon-reload")

    def state(self, timer: str) -> TimerState:
        """What systemd says of *timer* and its service.

        Raises:
            ConfigError: systemctl failed.
        """
        about = self._show(timer, "LoadState", "NextElapseUSecRealtime", "LastTriggerUSec")
        if about.get("LoadState") != "loaded":
            return TimerState(timer=timer, installed=False)
        service = self.ended(timer.removesuffix(".timer") + ".service")
        return TimerState(
            timer=timer,
            installed=True,
            next_at=about.get("NextElapseUSecRealtime", ""),
            last_at=about.get("LastTriggerUSec", ""),
            running=service.running,
            result=service.result,
            exit_code=service.exit_code,
        )

    def ended(self, service: str) -> ServiceState:
        """What systemd says of *service*.

        Raises:
            ConfigError: systemctl failed.
        """
        about = self._show(service, "LoadState", "ActiveState", "Result", "ExecMainStatus")
        code = about.get("ExecMainStatus", "")
        return ServiceState(
            service=service,
            installed=about.get("LoadState") == "loaded",
            running=about.get("ActiveState") in {"activating", "active", "deactivating"},
            result=about.get("Result", ""),
            exit_code=int(code) if code.isdigit() else None,
        )

    def _show(self, unit: str, *names: str) -> dict[str, str]:
        text = self._must("show", unit, *(f"--property={name}" for name in names))
        pairs = (line.partition("=") for line in text.splitlines())
        return {name: "" if value == "n/a" else value for name, _, value in pairs}

    def _must(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [*self._command, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LIMIT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"systemctl {arguments[0]} failed: {error}") from error
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            if "connect to bus" in said.lower():
                said += f"; {OUT_OF_REACH}"
            raise ConfigError(f"systemctl {arguments[0]} failed: {said}")
        return done.stdout


def _user_units(environment: Mapping[str, str]) -> Path:
    given = environment.get("XDG_CONFIG_HOME", "")
    base = Path(given) if given.startswith("/") else Path(environment.get("HOME", "/"), ".config")
    return base / "systemd/user"


def _user_units_until_off(environment: Mapping[str, str]) -> Path:
    given = environment.get("XDG_RUNTIME_DIR", "")
    base = Path(given) if given.startswith("/") else Path(f"/run/user/{os.getuid()}")
    return base / "systemd/user"


def check_calendar(calendar: str, environment: Mapping[str, str] = os.environ) -> None:
    """Ask systemd whether it understands a calendar expression, where it is installed.

    Raises:
        ConfigError: it does not.
    """
    program = shutil.which("systemd-analyze", path=environment.get("PATH", ""))
    if program is None:
        return
    done = subprocess.run(
        [program, "calendar", "--", calendar],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ConfigError(
            f'schedule.run = "{calendar}" is no calendar expression of systemd; write it like '
            '"*-*-* 17:30 UTC" or "Mon..Fri 06:00" (`man systemd.time`)'
        )
