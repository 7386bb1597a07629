"""systemd units of a schedule: a timer and a service for runs, and for sweeps. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from materia.errors import ConfigError

from materia_runner.config.pipeline import Schedule

# A stopped run destroys its machine first: a create may be under way, providers answer late, and
# the end is written to the bucket.
STOP = timedelta(minutes=30)
UPDATE = timedelta(minutes=15)  # a run waits that long for a slow download
BOOT_MINUTES = 2
WHAT = ("run", "sweep", "update")
# systemd takes some of them for its own in some places, and refuses others in a program's path.
_UNUSABLE = re.compile(r"""[^\x20-\x7e\u00a0-\uffff]|["'\\$;]|\s$""")

_DIRECTORY = re.compile(r"^WorkingDirectory=(.+)$", re.MULTILINE)
_CONFIG = re.compile(r"^ExecStart=.* --config (.+)$", re.MULTILINE)
_USER = re.compile(r"^User=(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where and as whom the commands of a schedule run.

    Attributes:
        name: Name of the pipeline; part of the units' names.
        directory: Working folder: that of materia.toml.
        config: Path of materia.toml, or None for the defaults.
        python: The Python that materia is installed in.
        path: Folders of programs, as in PATH.
        state: The state folder of the user who runs this command.
        user: User of system units; None for units of the user's own systemd.
        variables: More environment variables; no secrets, as everybody can read units.
        updated_by: On a supervisor, the materia.toml by which root updates its release; None
            elsewhere.
    """

    name: str
    directory: Path
    config: Path | None
    python: Path
    path: str
    state: Path
    user: str | None
    variables: tuple[tuple[str, str], ...] = ()
    updated_by: Path | None = None

    @property
    def secrets(self) -> str:
        """File with secrets, a line `NAME=value` each, which may be missing."""
        if self.user is None:
            return f"%h/.config/materia/{self.name}.env"
        return f"/etc/materia/{self.name}.env"

    def unit(self, what: str, kind: str) -> str:
        """Name of a unit: *what* is one of WHAT, *kind* `service` or `timer`."""
        return f"materia-{self.name}-{what}.{kind}"


def units(schedule: Schedule, place: Installation) -> dict[str, str]:
    """The text of each unit, by its name.

    Raises:
        ConfigError: nothing is scheduled, or a path has characters that a unit cannot have.
    """
    made = {}
    if schedule.run is not None:
        made[place.unit("run", "service")] = _service(place, "run", ("run", "--quiet"))
        # Persistent: a run that was missed while the machine was off is made up.
        made[place.unit("run", "timer")] = _timer(
            f"runs of {place.name}", f"OnCalendar={schedule.run}\nPersistent=true"
        )
    if schedule.sweep is not None:
        made[place.unit("sweep", "service")] = _service(
            place, "sweep", ("sweep", "--all-providers")
        )
        minutes = schedule.sweep // timedelta(minutes=1)
        made[place.unit("sweep", "timer")] = _timer(
            f"sweeps of {place.name}",
            f"OnBootSec={BOOT_MINUTES}min\nOnUnitInactiveSec={minutes}min",
        )
    if not made:
        raise ConfigError(
            'nothing is scheduled; set [schedule] run = "*-*-* 17:30 UTC" and sweep = 15 (minutes) '
            "in materia.toml"
        )
    if place.updated_by is not None:
        made[place.unit("update", "service")] = _update(place, place.updated_by)
    return made


def refuse_others(ours: Mapping[str, str], there: Mapping[str, str]) -> None:
    """Refuse units that would take something from a schedule that is there already.

    Args:
        ours: The units to install, by name.
        there: The services that are installed, of any pipeline.

    Raises:
        ConfigError: one of the same name is of another folder that is still there, or one of
            another user keeps its ledger in the same state folder.
    """
    for name, text in ours.items():
        if (other := there.get(name)) is None or _of(other) == _of(text):
            continue
        directory, config = _of(other)
        if Path(config or directory).exists():
            raise ConfigError(
                f"{name} is the schedule of {config or directory} already; set another `name` in "
                "materia.toml, or end that schedule with `materia schedule remove` there"
            )
    mine = {_of(text) for text in ours.values()}
    users = {user[1] for text in ours.values() if (user := _USER.search(text))}
    for name, text in there.items():
        user = _USER.search(text)
        if user is not None and users and user[1] not in users and _of(text) not in mine:
            raise ConfigError(
                f"{name} runs as {user[1]}, who has the state folder of all schedules of the whole "
                f"machine; install with --user {user[1]}, or without --system"
            )


def _of(service: str) -> tuple[str, str]:
    """The working folder of a service, and its materia.toml, as they are on disk."""
    found = (pattern.search(service) for pattern in (_DIRECTORY, _CONFIG))
    folder, config = (one[1].replace("%%", "%").strip('"') if one else "" for one in found)
    return folder, config


def _service(place: Installation, what: str, command: tuple[str, ...]) -> str:
    words = [str(place.python), "-P", "-m", "materia_runner", *command]
    if place.config is not None:
        words += ["--config", str(place.config)]
    variables = [("PATH", place.path), *place.variables]
    lines = [
        "[Unit]",
        f"Description=materia: {what} of {place.name}",
        *_waits_for("network-online.target"),
        # Before each run and sweep; when it fails, they run the release before.
        *(_waits_for(place.unit("update", "service")) if place.updated_by else ()),
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={_specifiers(str(place.directory))}",
        f"ExecStart={' '.join(_quoted(word) for word in words)}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables),
        f"EnvironmentFile=-{place.secrets}",
        # Each stage has a deadline of its own.
        "TimeoutStartSec=infinity",
        "# A stopped run destroys its machines: SIGTERM goes to it alone, and it gets the time.",
        "KillMode=mixed",
        "KillSignal=SIGTERM",
        f"TimeoutStopSec={STOP // timedelta(minutes=1)}min",
        "NoNewPrivileges=yes",
    ]
    if place.user is not None:
        lines += [
            f"User={place.user}",
            "ProtectSystem=full",
            "PrivateTmp=yes",
            "StateDirectory=materia",
            "StateDirectoryMode=0700",
            "CacheDirectory=materia",
            "Environment=MATERIA_STATE_DIR=%S/materia XDG_CACHE_HOME=%C",
        ]
    return "\n".join([*lines, ""])


def _update(place: Installation, config: Path) -> str:
    """The service that takes over what the channel names, as root: units are root's."""
    words = [str(place.python), "-P", "-m", "materia_runner", "schedule", "update"]
    variables = [("PATH", place.path), ("HOME", "/root"), *place.variables]
    lines = [
        "[Unit]",
        f"Description=materia: release of {place.name}",
        *_waits_for("network-online.target"),
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={' '.join(_quoted(word) for word in [*words, '--config', str(config)])}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables),
        f"EnvironmentFile=-{place.secrets}",
        f"TimeoutStartSec={UPDATE // timedelta(minutes=1)}min",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
    ]
    return "\n".join([*lines, ""])


def _waits_for(unit: str) -> tuple[str, str]:
    return f"Wants={unit}", f"After={unit}"


def _timer(what: str, when: str) -> str:
    return (
        f"[Unit]\nDescription=materia: {what}\n\n[Timer]\n{when}\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def _specifiers(text: str) -> str:
    """*text* with `%` as systemd takes it.

    Raises:
        ConfigError: it has quotes, `$`, `;`, backslashes or control characters, or ends in a space,
            which systemd would drop.
    """
    if _UNUSABLE.search(text):
        raise ConfigError(f"a systemd unit cannot have the path {text!r}; use another folder")
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """*word* as systemd takes it in a list of words: quoted where that is needed."""
    text = _specifiers(word)
    return f'"{text}"' if " " in text else text
