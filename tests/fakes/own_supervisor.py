"""A machine to enroll: a systemd of its own, a real sshd in it, and root's key."""

from __future__ import annotations

import os
import platform
import site
import socket
import sys
import tarfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from fakes.own_systemd import OwnSystemd
from materia_providers.cloud_init import generate_key
from materia_runner.artifact.target import SUPERVISOR, Artifact
from materia_runner.ssh.command import SshTarget

# The command line of this environment, for the Python of that machine.
MAIN = """
import os, runpy, site, sys
if os.path.exists({calls!r}):
    with open({calls!r}, "a") as calls:
        print(os.environ["PYTHONPATH"].split("/")[-2], *sys.argv[1:3], file=calls)
{more}
del sys.modules["materia_runner"]
sys.path[:] = [one for one in sys.path if not one.startswith("/opt/materia")]
site.addsitedir({packages!r})
runpy.run_module("materia_runner", run_name="__main__", alter_sys=True)
"""


class OwnSupervisor:
    """The machine; its files are an overlay, and are gone when it ends.

    Attributes:
        systemd: Its systemd.
        target: How root logs in.
        folder: A folder that it shares with the test.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "shared"
        self.folder.mkdir(parents=True)
        host_key, login = generate_key(), generate_key()
        (self.folder / "host_key").write_text(host_key.private)
        (self.folder / "authorized_keys").write_text(login.public)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        (self.folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey /etc/ssh/ssh_host_ed25519_key\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        )
        unit = (
            "[Service]\nRuntimeDirectory=sshd\n"
            f"ExecStartPre=/bin/install -m 600 {self.folder}/host_key"
            " /etc/ssh/ssh_host_ed25519_key\n"
            f"ExecStart=/usr/sbin/sshd -D -e -f {self.folder}/sshd_config\n"
            "ExecReload=/bin/kill -HUP $MAINPID\n"
        )
        machine = folder / "machine"
        self.systemd = OwnSystemd(machine, {"ssh.service": unit}, bound=[self.folder])
        # Its Python is that of the tests, which may be in the home folder of root.
        (self.root() / "root").chmod(0o711)
        started = self.systemd.systemctl("start", "ssh")
        assert started.returncode == 0, started.stderr
        self.target = SshTarget(
            host="127.0.0.1", port=port, user="root", key=login, host_key=host_key.public
        )

    def root(self) -> Path:
        """Its root folder, as this machine sees it."""
        return Path(f"/proc/{self.systemd._first()}/root")

    def close(self) -> None:
        self.systemd.close()


def command_line(
    folder: Path, *, mark: str = "", calls: Path = Path("/nowhere"), more: str = ""
) -> Artifact:
    """An artifact whose command line is that of this environment; *mark* makes it another one.

    It notes its release and its command in the file *calls*, if that exists, and runs *more* first.
    """
    packages = next(one for one in site.getsitepackages() if os.path.isdir(one))  # noqa: PTH112
    main = MAIN.format(packages=packages, calls=str(calls), more=more)
    files = {"lib/materia_runner/__init__.py": mark, "lib/materia_runner/__main__.py": main}
    path = folder / f"supervisor{mark[2:]}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o644
            archive.addfile(member, BytesIO(text.encode()))
    content = path.read_bytes()
    return Artifact(
        path=path,
        sha256=sha256(content).hexdigest(),
        python=f"3.{sys.version_info.minor}",
        architecture="arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64",
        size=len(content),
        stages=SUPERVISOR,
    )
