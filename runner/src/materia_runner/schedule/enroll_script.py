"""What `materia schedule enroll` runs on the supervisor, as root: the standard library alone.

The order comes as one line of JSON on standard input, as it has secrets. Each step can be repeated.
It answers with one line of JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

RELEASES = Path("/opt/materia/releases")
CURRENT = Path("/opt/materia/current")
SECRETS = Path("/etc/materia")
STATE = Path("/var/lib/materia")
UNITS = Path("/etc/systemd/system")
HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key")
KEPT_RELEASES = 2


def main() -> None:
    """Carry out the order."""
    order = json.loads(sys.stdin.readline())
    answer = {"install": install, "new-key": new_key, "use-key": use_key}[order["do"]](order)
    print(json.dumps(answer), flush=True)  # noqa: T201 -- the answer


def install(order: dict[str, Any]) -> dict[str, Any]:
    """Unpacked release, configuration and secrets in their places, and the timers started.

    The release checks the configuration first: when it refuses it, the one before stays in use.
    """
    make_user(order["user"])
    with alone():
        release = place_release(Path.home() / order["unpacked"], order["sha256"])
        return _set_up(release, order)


def _set_up(release: Path, order: dict[str, Any]) -> dict[str, Any]:
    user, name = order["user"], order["name"]
    directory = STATE / name
    owner = pwd.getpwnam(user)
    for folder in (STATE, directory):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The user of the runs could have put a link there, to have another folder given to it.
        os.chown(folder, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    SECRETS.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = directory / "materia.toml"
    candidate = config.with_name(".next.toml")
    write(candidate, order["config"], mode=0o644)
    try:
        checked = check_release(release, user, candidate)
    finally:
        candidate.unlink(missing_ok=True)
    if checked.returncode:
        return {
            "code": checked.returncode,
            "said": checked.stderr.replace(candidate.name, config.name),
        }
    write(config, order["config"], mode=0o644)
    # What root obeys is root's: the user of the runs owns the folder of the other one.
    write(update_config(name), order["config"], mode=0o600)
    write(SECRETS / f"{name}.env", order["secrets"], mode=0o600)
    done = use_release(release, user, name)
    return {"code": done.returncode, "said": done.stderr if done.returncode else done.stdout}


@contextmanager
def alone() -> Iterator[None]:
    """Wait for others that change the releases: each pipeline of a machine updates by itself."""
    RELEASES.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = os.open(RELEASES, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def check_release(release: Path, user: str, config: Path) -> subprocess.CompletedProcess[str]:
    """Whether the user can run a release, and it understands the configuration."""
    return materia(release, config.parent, "schedule", "show", *as_user(user, config), user=user)


def use_release(release: Path, user: str, name: str) -> subprocess.CompletedProcess[str]:
    """Install the units of a release, and start its timers; a run under way keeps its own."""
    config = STATE / name / "materia.toml"
    done = materia(release, config.parent, "schedule", "install", *as_user(user, config))
    if done.returncode == 0:  # else the units still run the release before
        swap_link(release)
        remove_old_releases(release)
    return done


def as_user(user: str, config: Path) -> tuple[str, ...]:
    """The options of units of the whole machine that run as a user."""
    return ("--system", "--user", user, "--config", str(config))


def materia(
    release: Path, folder: Path, *arguments: str, user: str = "root"
) -> subprocess.CompletedProcess[str]:
    """Run the command line of a release, as a user; an error when that user cannot start it."""
    command = [shutil.which("python3") or "python3", "-P", "-m", "materia_runner", *arguments]
    account = pwd.getpwnam(user)
    # Not `current`: a run imports modules until its end, and must find those of its release.
    variables = {"HOME": account.pw_dir, "PYTHONPATH": f"{release}/lib"}
    try:
        return subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], **variables},
            cwd=folder,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        said = f"the user {user} cannot run {command[0]}: {error.strerror}"
        return subprocess.CompletedProcess(command, 126, stdout="", stderr=said)


def update_config(name: str) -> Path:
    """The configuration by which root updates the release of a pipeline."""
    return SECRETS / f"{name}.toml"


def make_user(user: str) -> None:
    """Make the user of the runs, who cannot log in."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        command = ["useradd", "--system", "--home-dir", str(STATE), "--shell", "/usr/sbin/nologin"]
        subprocess.run([*command, user], check=True)


def place_release(unpacked: Path, sha256: str) -> Path:
    """Move an unpacked release to where all users can read it."""
    release = RELEASES / sha256
    if not release.is_dir():
        part = RELEASES / f".{sha256}"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(unpacked, part, symlinks=True)
        part.chmod(0o755)
        subprocess.run(["/bin/chmod", "-R", "a+rX", str(part)], check=True)
        part.rename(release)
    shutil.rmtree(unpacked, ignore_errors=True)
    return release


def swap_link(release: Path) -> None:
    """Let `current` point to the release, atomically."""
    part = CURRENT.with_name(".current")
    part.unlink(missing_ok=True)
    part.symlink_to(release)
    part.rename(CURRENT)


def remove_old_releases(current: Path) -> None:
    """Keep the current release, the one before it, and those of units and of runs under way."""
    for part in RELEASES.glob(".*"):  # of an update that was cut off, which held the lock
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink()
    others = [one for one in RELEASES.iterdir() if one != current and one.is_dir()]
    others.sort(key=lambda one: one.stat().st_mtime, reverse=True)
    for one in others[KEPT_RELEASES - 1 :]:
        if not is_in_use(one):
            shutil.rmtree(one, ignore_errors=True)


def is_in_use(release: Path) -> bool:
    """Whether a process or a unit here was started with the modules of that release."""
    users = [*Path("/proc").glob("[0-9]*/environ"), *UNITS.glob("materia-*.service")]
    for file in users:
        with suppress(OSError):  # the process has ended
            if f"={release}/lib".encode() in file.read_bytes():
                return True
    return False


def write(path: Path, text: str, *, mode: int) -> None:
    """Write a file of root's as a whole; it is never readable to others before it has its mode."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), mode)  # by its descriptor: the folder may be another user's
        os.fsync(file.fileno())
    part.rename(path)


def new_key(_order: dict[str, Any]) -> dict[str, Any]:
    """Make a host key on this machine, beside the one in use; answers its public part."""
    part = HOST_KEY.with_name("materia_next_host_key")
    for file in (part, part.with_suffix(".pub")):
        file.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(part)]
    subprocess.run(command, check=True)
    kind, public, *_ = part.with_suffix(".pub").read_text().split()
    return {"public": f"{kind} {public}"}


def use_key(_order: dict[str, Any]) -> dict[str, Any]:
    """Use the key of `new_key` from now on; cloud-init writes host keys at the first boot alone."""
    part = HOST_KEY.with_name("materia_next_host_key")
    part.with_suffix(".pub").rename(HOST_KEY.with_suffix(".pub"))
    part.rename(HOST_KEY)
    for unit in ("ssh", "sshd"):
        command = ["systemctl", "reload", unit]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            break
    else:
        return {"reloaded": False}
    return {"reloaded": True}


if __name__ == "__main__":
    main()
