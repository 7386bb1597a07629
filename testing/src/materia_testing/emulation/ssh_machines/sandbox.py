"""Sandbox for an OpenSSH server: the bubblewrap command that simulates a machine.

It has its own processes, host name, users, /etc, /home, /root, /tmp and /var/tmp; programs are this
machine's /usr, read only. When the first process ends, the kernel ends all others.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from materia_testing.emulation.ssh_machines.cloud_init import CloudInit

FIRST_UID = 1000
OWN_PYTHON = "/opt/python"  # the place for this Python interpreter, if /usr has none
SSHD_CONFIG = """\
ListenAddress {host}:{port}
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile none
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile .ssh/authorized_keys
StrictModes no
AcceptEnv LANG LC_*
SetEnv PATH={path}
Subsystem sftp internal-sftp
LogLevel VERBOSE
"""
# The init ends with its standard input, and everything else with it. It restarts a killed sshd,
# like the init system of a machine.
INIT = """\
{prepare}
( sleep {boot_seconds}
  while :; do {sshd} -D -e -f /etc/ssh/sshd_config; sleep 0.05; done ) </dev/null &
( sleep {boot_seconds}
{commands}
) </dev/null &
{power_off}
read -r _
"""


@functools.cache
def why_not() -> str | None:
    """Why OpenSSH cannot run in a sandbox here; None when it can."""
    if not sys.platform.startswith("linux"):
        return "sandboxes need Linux"
    if find_sshd() is None:
        return "OpenSSH's server is not installed (Debian: openssh-server)"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian: bubblewrap)"
    trial = ["bwrap", "--unshare-pid", "--unshare-uts", "--ro-bind", "/", "/"]
    done = subprocess.run([*trial, "--proc", "/proc", "true"], capture_output=True, check=False)
    if done.returncode:
        return f"bubblewrap cannot make a sandbox here: {done.stderr.decode().strip()}"
    return None


def find_sshd() -> str | None:
    """The absolute path of the OpenSSH server; sshd needs it to re-execute itself."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def prepare(folder: Path, init: CloudInit, *, host: str, port: int) -> None:
    """Write the machine's own files into the empty *folder*."""
    etc = folder / "etc"
    etc.mkdir()
    for entry in Path("/etc").iterdir():
        (etc / entry.name).symlink_to(f"/.image/etc/{entry.name}")
    for name in ("home", "root", "tmp", "var-tmp"):
        (folder / name).mkdir()
    (folder / "tmp").chmod(0o1777)
    (folder / "var-tmp").chmod(0o1777)
    passwd = ["root:x:0:0::/root:/bin/bash", "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin"]
    passwd.append("nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin")
    groups = ["root:x:0:", "tty:x:5:", "nogroup:x:65534:"]
    for number, user in enumerate(init.users):
        if user.name == "root":
            home, uid = folder / "root", os.getuid()
        else:
            home = folder / "home" / user.name
            # Without root a machine has one user: the user of this process.
            uid = FIRST_UID + number if os.getuid() == 0 else os.getuid()
            passwd.append(f"{user.name}:x:{uid}:{uid}::/home/{user.name}:/bin/bash")
            groups.append(f"{user.name}:x:{uid}:")
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        (home / ".ssh" / "authorized_keys").write_text("".join(f"{key}\n" for key in user.keys))
        if os.getuid() == 0:
            for path in (home, home / ".ssh", home / ".ssh" / "authorized_keys"):
                os.chown(path, uid, uid)
    shadow = [f"{line.partition(':')[0]}:*:19000:0:99999:7:::" for line in passwd]
    for name, lines in (("passwd", passwd), ("group", groups), ("shadow", shadow)):
        _replace(etc / name, "".join(f"{line}\n" for line in lines))
    _replace(etc / "hosts", "127.0.0.1 localhost\n")
    (etc / "ssh").unlink(missing_ok=True)
    (etc / "ssh").mkdir()
    _replace(etc / "ssh" / "ssh_host_ed25519_key", init.host_key or "", mode=0o600)
    _replace(
        etc / "ssh" / "sshd_config",
        SSHD_CONFIG.format(host=host, port=port, path=_path()),
    )
    (folder / "files").mkdir()
    for number, file in enumerate(init.files):
        _replace(folder / "files" / str(number), file.content, mode=file.mode)


def _replace(path: Path, content: str, *, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(content)


def command(
    folder: Path,
    init: CloudInit,
    *,
    name: str,
    boot_seconds: float,
    minute_seconds: float,
    disk_bytes: int | None,
) -> list[str]:
    """The arguments that start the machine whose files are in *folder*."""
    kept = {"/root": "root", "/tmp": "tmp"}  # noqa: S108 -- the machine's own
    disk: list[str] = []
    first = ":"
    if disk_bytes is None:
        kept |= {"/home": "home", "/var/tmp": "var-tmp"}  # noqa: S108 -- the machine's own
    else:
        disk = ["--size", str(disk_bytes), "--tmpfs", "/home"]
        disk += ["--symlink", "/home/.tmp", "/var/tmp"]  # noqa: S108 -- the machine's own
        first = "mkdir -m 1777 /home/.tmp; cp -a /machine/home/. /home"
    for place, name_here in kept.items():
        disk += ["--bind", str(folder / name_here), place]
    if _interpreter_missing():
        disk += ["--ro-bind", sys.base_prefix, OWN_PYTHON]
    files = [
        f"mkdir -p {shlex.quote(str(Path(file.path).parent))}; "
        f"cp -p /machine/files/{number} {shlex.quote(file.path)}"
        for number, file in enumerate(init.files)
    ]
    lines = [one if isinstance(one, str) else shlex.join(one) for one in init.commands]
    off = ""
    if init.power_off_minutes is not None:
        seconds = boot_seconds + init.power_off_minutes * minute_seconds
        off = f"( sleep {seconds:g}; kill -9 $$ ) </dev/null &"
    script = INIT.format(
        prepare="\n".join([first, *files]),
        boot_seconds=f"{boot_seconds:g}",
        sshd=find_sshd(),
        commands="\n".join(lines),
        power_off=off,
    )
    return [
        # When the init ends, bwrap ends; its end kills everything in the sandbox.
        *("bwrap", "--die-with-parent", "--unshare-pid", "--unshare-uts", "--unshare-ipc"),
        *("--hostname", name, "--perms", "0755", "--dir", "/.image"),
        *("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
        *("--symlink", "usr/sbin", "/sbin", "--symlink", "usr/lib", "/lib"),
        *("--symlink", "usr/lib64", "/lib64", "--ro-bind-try", "/sys", "/sys"),
        *("--ro-bind", "/etc", "/.image/etc", "--bind", str(folder / "etc"), "/etc"),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", "--dir", "/run/sshd"),
        *("--bind", str(folder), "/machine", "--dir", "/var/empty", *disk),
        *("--clearenv", "--setenv", "PATH", _path(), "--setenv", "HOME", "/root"),
        *("--chdir", "/root", "/bin/sh", "-c", script),
    ]


def _interpreter_missing() -> bool:
    """Whether /usr has no python3: every rented image has one."""
    return not any(Path(place, "python3").exists() for place in ("/usr/bin", "/usr/local/bin"))


def _path() -> str:
    places = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return ":".join([*places, f"{OWN_PYTHON}/bin"] if _interpreter_missing() else places)
