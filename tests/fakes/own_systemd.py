"""A systemd of its own for a test: the first process of new namespaces, over a copy of `/`.

Its root is an overlay: what it writes is gone when it ends, except in folders that are bound.
It shares the network, so that it reaches servers of the test. It needs root, overlay and cgroup2.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fakes.workshop import wait_until

SYSTEMD = Path("/lib/systemd/systemd")

# They would go through all temporary files of this machine, and through its devices.
MASKED = (
    "systemd-tmpfiles-setup.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
)


def why_not() -> str | None:
    """Why there can be none here; None when there can."""
    known = Path("/proc/filesystems").read_text()
    if os.geteuid() != 0:
        return "a systemd in namespaces needs root"
    if not SYSTEMD.exists() or not shutil.which("nsenter"):
        return "systemd or nsenter is not installed"
    if "overlay" not in known or "cgroup2" not in known:
        return "the kernel has no overlay or no cgroup2"
    trial = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "true"]
    done = subprocess.run(trial, capture_output=True, check=False)
    return None if done.returncode == 0 else "namespaces cannot be made here"


class OwnSystemd:
    """A running systemd with these units; end it with `close`."""

    def __init__(self, folder: Path, units: Mapping[str, str], *, bound: Sequence[Path]) -> None:
        """Boot, and start every timer of *units*; a drop-in is named `NAME.d/x.conf`.

        Args:
            folder: An empty folder for it.
            units: The text of each unit by name.
            bound: Folders that it shares with the test.
        """
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._group = f"materia-test-{os.getpid()}-{folder.name}"
        self.stamps = folder / "timers"  # kept over reboots
        self.stamps.mkdir(exist_ok=True)
        unit_folder = folder / "units"
        shutil.rmtree(unit_folder, ignore_errors=True)
        unit_folder.mkdir()
        timers = [name for name in units if name.endswith(".timer")]
        for name, text in units.items():
            (unit_folder / name).parent.mkdir(parents=True, exist_ok=True)
            (unit_folder / name).write_text(text)
        (unit_folder / "boot.target").write_text(
            f"[Unit]\nWants={' '.join(timers)} timers.target\nAllowIsolate=yes\n"
        )
        self._process = subprocess.Popen(
            [
                *("unshare", "--pid", "--mount", "--ipc", "--uts", "--fork", "--kill-child"),
                *("sh", "-euc", self._outer(unit_folder, bound)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until(self._is_up, "the boot of systemd")
        except BaseException:
            self.close()
            raise

    def _outer(self, unit_folder: Path, bound: Sequence[Path]) -> str:
        """Join a control group of its own before the namespace of groups begins."""
        groups = self._folder / "groups"
        groups.mkdir(exist_ok=True)
        inner = shlex.quote(self._inner(unit_folder, bound))
        return (
            "mount --make-rprivate /\n"
            f"mount -t cgroup2 none {groups}\n"
            f"mkdir -p {groups}/{self._group}\n"
            f"echo $$ > {groups}/{self._group}/cgroup.procs\n"
            f"exec unshare --cgroup sh -euc {inner}"
        )

    def _inner(self, unit_folder: Path, bound: Sequence[Path]) -> str:
        layers, root = self._folder / "layers", self._folder / "root"
        layers.mkdir(exist_ok=True)
        root.mkdir(exist_ok=True)
        options = f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work"
        clean = "env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        lines = [
            f"mount -t tmpfs none {layers}",
            f"mkdir {layers}/upper {layers}/work",
            f"mount -t overlay none -o {options} {root}",
            f"mount -t proc none {root}/proc",
            f"mount -t tmpfs none {root}/run",
            f"mount -t tmpfs none {root}/sys",
            f"mkdir -p {root}/sys/fs/cgroup",
            f"mount -t cgroup2 none {root}/sys/fs/cgroup",
            f"mount --rbind /dev {root}/dev",
            f"rm -rf {root}/etc/systemd/system {root}/etc/fstab",  # it would wait for disks
            f"cp -r {unit_folder} {root}/etc/systemd/system",
            *(f"ln -s /dev/null {root}/etc/systemd/system/{name}" for name in MASKED),
            f"mkdir -p {root}/var/lib/systemd/timers",
            f"mount --bind {self.stamps} {root}/var/lib/systemd/timers",
            *(f"mkdir -p {root}{one}; mount --bind {one} {root}{one}" for one in bound),
            f"echo 0123456789abcdef0123456789abcdef > {root}/etc/machine-id",
            f"exec chroot {root} {clean} {SYSTEMD} --unit=boot.target --log-target=console",
        ]
        return "\n".join(lines)

    def _first(self) -> int | None:
        """Process id of systemd, as this machine sees it."""
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            if int(fields[1]) == self._process.pid:
                return int(status.parent.name)
        return None

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "systemd has ended"
        return self.systemctl("is-active", "boot.target").stdout.strip() == "active"

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run systemctl inside."""
        return self.inside("/usr/bin/systemctl", *arguments)

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside, as root."""
        first = self._first()
        enter = ["nsenter", "--target", str(first), "--mount", "--pid", "--cgroup", "--root"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=False)

    def close(self) -> None:
        """Switch it off at once, as a power cut does."""
        if (first := self._first()) is not None:
            os.kill(first, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        groups = self._folder / "groups"
        clear = (
            f"mount --make-rprivate /; mount -t cgroup2 none {groups}; "
            f"find {groups}/{self._group} -depth -type d -exec rmdir {{}} +"
        )
        command = ["unshare", "--mount", "sh", "-c", clear]
        wait_until(
            lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
            f"the end of the group {self._group}",
        )
