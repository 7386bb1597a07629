"""Schedule in the notation of cron, and as a schedule of GitLab: without systemd. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from materia.errors import ConfigError

from materia_runner.config.pipeline import Schedule
from materia_runner.schedule.units import Installation

SHORT = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_HOUR = r"(?:[01]?\d|2[0-3])"
_CALENDAR = re.compile(
    r"(?:(?P<days>[A-Za-z]{3}(?:(?:,|\.\.)[A-Za-z]{3})*)\s+)?"
    rf"(?:\*-\*-(?P<day>\*|{_DAY}(?:,{_DAY})*)\s+)?"
    rf"(?P<hour>\*|{_HOUR}(?:,{_HOUR})*):(?P<minute>[0-5]\d)(?::00)?(?:\s+UTC)?"
)


def cron_time(calendar: str) -> str:
    """The five fields of cron for a calendar expression of systemd.

    Raises:
        ConfigError: cron cannot express it, or materia cannot translate it.
    """
    if (known := SHORT.get(calendar.lower())) is not None:
        return known
    match = _CALENDAR.fullmatch(calendar.strip())
    days = match and _days(match["days"])
    if match is None or days is None:
        raise ConfigError(
            f'schedule.run = "{calendar}" has no translation to cron here; use a form like '
            '"*-*-* 17:30 UTC", "Mon..Fri 06:00" or "*-*-12 08:00 UTC"'
        )
    day, hour, minute = match["day"] or "*", _numbers(match["hour"]), _numbers(match["minute"])
    if "*" not in {day, days}:
        raise ConfigError(
            f'schedule.run = "{calendar}" has no translation to cron: cron starts on each of these '
            "days of the month, and on each of these days of the week, too"
        )
    return f"{minute} {hour} {_numbers(day)} * {days}"


def _days(text: str | None) -> str | None:
    if text is None:
        return "*"
    numbers = {name: number for number, name in enumerate(DAYS, 1)}
    parts = []
    for part in text.lower().split(","):
        ends = part.split("..")
        if not set(ends) <= numbers.keys() or len(ends) > 2:
            return None
        if numbers[ends[0]] > numbers[ends[-1]]:
            return None
        parts.append("-".join(str(numbers[end]) for end in ends))
    return ",".join(parts)


def _numbers(text: str) -> str:
    return text if text == "*" else ",".join(str(int(number)) for number in text.split(","))


def crontab(schedule: Schedule, place: Installation) -> str:
    """Lines for crontab.

    Raises:
        ConfigError: nothing is scheduled, or cron cannot express it.
    """
    begin = f"cd {shlex.quote(str(place.directory))} && "
    config = () if place.config is None else ("--config", str(place.config))

    def command(*words: str) -> str:
        python = (str(place.python), "-P", "-m", "materia_runner")
        return _percent(shlex.join([*python, *words, *config]))

    # cron takes a bare % for the end of the line. flock: a run is never started twice.
    lines = [
        "# cron makes up no run that was missed, and gives a stopped run no time.",
        "# Its times are those of the machine's zone. Secrets: a file .env beside materia.toml.",
        f"PATH={place.path}",
        *(f"{name}={value}" for name, value in place.variables),
    ]
    if schedule.run is not None:
        # Not in /tmp: there another user could hold it, and no run would start.
        folder, lock = (
            shlex.quote(str(place.state)),
            shlex.quote(str(place.state / f"{place.name}.cron")),
        )
        lines.append(
            f"{cron_time(schedule.run)} {_percent(begin)}mkdir -p -m 700 {_percent(folder)} && "
            f"flock -n {_percent(lock)} {command('run', '--quiet')}"
        )
    if schedule.sweep is not None:
        sweep = command("sweep", "--all-providers")
        lines.append(f"{_every(schedule.sweep)} {_percent(begin)}{sweep}")
    if schedule.run is None and schedule.sweep is None:
        raise ConfigError("nothing is scheduled; set [schedule] run and sweep in materia.toml")
    return "\n".join([*lines, ""])


def _percent(text: str) -> str:
    return text.replace("%", "\\%")


def _every(interval: timedelta) -> str:
    minutes = interval // timedelta(minutes=1)
    if minutes < 60:
        return f"*/{minutes} * * * *"
    return f"0 */{min(minutes // 60, 23)} * * *"


def gitlab(schedule: Schedule, *, packages: Sequence[str], config: Path | None) -> str:
    """Jobs for `.gitlab-ci.yml`, and how to make the schedules that start them.

    Args:
        schedule: When they start.
        packages: What pip installs: a provider whose plugin is missing is never swept.
        config: Path of the configuration in the repository, or None for materia.toml.

    Raises:
        ConfigError: nothing is scheduled, or cron cannot express it.
    """
    jobs, rows = [], []
    install = shlex.join(["pip", "install", "--quiet", *packages])
    named = "" if config is None else f" --config {shlex.quote(str(config))}"
    for task, when, command in (
        ("run", schedule.run and cron_time(schedule.run), "run --quiet"),
        ("sweep", schedule.sweep and _every(schedule.sweep), "sweep --all-providers"),
    ):
        if not when:
            continue
        rows.append(f"#   {when:<16} TASK={task}")
        jobs.append(
            f"{task}:\n"
            "  image: python:3.12-slim\n"
            "  rules:\n"
            f'    - if: $CI_PIPELINE_SOURCE == "schedule" && $TASK == "{task}"\n'
            f"  resource_group: materia-{task}\n"
            "  script:\n"
            f"    - {install}\n"
            f"    - materia {command}{named}\n"
        )
    if not jobs:
        raise ConfigError("nothing is scheduled; set [schedule] run and sweep in materia.toml")
    head = (
        "# For .gitlab-ci.yml: the smallest production, without a machine of your own. In GitLab,\n"
        "# under Build > Pipeline schedules, make a schedule for each line, with its variable:\n"
        + "\n".join(rows)
        + "\n# and set PULUMI_ACCESS_TOKEN, or the secrets themselves, as masked variables.\n"
        "# Without [artifacts] bucket the ledger ends with each job, and [budget] monthly counts\n"
        "# nothing there.\n"
    )
    return head + "\n" + "\n".join(jobs)
