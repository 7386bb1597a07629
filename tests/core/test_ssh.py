import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.machines import READY, Worker, a_user_data, new_id
from fakes.rental import Rental, offer
from materia.compute import Instance, InstanceRequest
from materia.errors import HostKeyError, ReadyTimeoutError, StageError
from materia_providers.cloud_init import generate_key
from materia_runner.rental.lifecycle import reach
from materia_runner.ssh.command import RemoteCommand, SshTarget
from materia_runner.ssh.session import Session, wait_until_reachable
from materia_testing.emulation.ssh_machines.boot import Booting
from materia_testing.emulation.ssh_machines.machine import SshMachines

pytest_plugins = ["machine_fixtures"]

SHORT = timedelta(seconds=0.5)


@contextlib.contextmanager
def answering(banner: bytes) -> Iterator[int]:
    """A server on a port of 127.0.0.1 that says *banner* and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    line.sendall(banner)
                    threading.Timer(3, line.close).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_server_with_our_host_key_is_reachable(worker: Worker) -> None:
    login = worker.login

    wait_until_reachable(login.host, login.port, login.host_key, READY)


def test_without_a_host_key_any_ssh_server_will_do(worker: Worker) -> None:
    wait_until_reachable(worker.login.host, worker.login.port, None, READY)


def test_another_host_key_is_never_accepted(worker: Worker) -> None:
    login = worker.login

    with pytest.raises(HostKeyError, match="does not show the host key of this instance") as raised:
        wait_until_reachable(login.host, login.port, generate_key().public, SHORT)
    assert isinstance(raised.value, ReadyTimeoutError)


class Careless(Rental):
    """A provider that returns once the port answers, as each may."""

    login: SshTarget

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        return replace(instance, host=self.login.host, port=self.login.port)


def test_an_instance_is_ready_only_with_the_key_that_was_sent_whatever_answers_at_its_port(
    worker: Worker, tmp_path: Path
) -> None:
    rental = Careless(tmp_path)
    rental.login = worker.login
    expires_at = datetime(2026, 11, 24, tzinfo=UTC)
    made = rental.create_instance(
        InstanceRequest(
            name="m", run="r", stage="extract", offer=offer("small"), expires_at=expires_at
        )
    )

    with pytest.raises(HostKeyError):
        reach(rental, made, generate_key().public, timeout=SHORT)
    assert reach(rental, made, worker.login.host_key, timeout=READY).host == worker.login.host


def test_nobody_logs_in_to_a_server_with_another_host_key(worker: Worker) -> None:
    wrong = replace(worker.login, host_key=generate_key().public, user="nobody-tells")
    before = worker.machine.console()

    with pytest.raises(HostKeyError):
        Session(wrong, timeout=SHORT)

    said = worker.machine.console().removeprefix(before)
    assert "nobody-tells" not in said


def test_a_stock_machine_with_a_key_of_its_own_is_not_taken_for_ours(
    machines: SshMachines,
) -> None:
    host = machines.boot(Booting(provider="acme", id="stock", name="stock"))
    machines.at(host).wait()

    with pytest.raises(HostKeyError):
        wait_until_reachable(host, machines.port, generate_key().public, SHORT)


def test_a_wait_outlasts_the_boot(machines: SshMachines) -> None:
    key, host_key = generate_key(), generate_key()
    started = time.monotonic()
    text = a_user_data(key, host_key)
    host = machines.boot(
        Booting(provider="acme", id="1", name="slow", user_data=text, boot_seconds=2)
    )
    booted = time.monotonic() - started

    wait_until_reachable(host, machines.port, host_key.public, READY)

    assert booted < 2
    assert time.monotonic() - started >= 2


def test_nothing_there_is_a_timeout_that_says_so() -> None:
    started = time.monotonic()

    with pytest.raises(
        ReadyTimeoutError, match=r"127\.9\.9\.9:9 did not answer .* 0\.5 s: connection refused"
    ) as raised:
        wait_until_reachable("127.9.9.9", 9, generate_key().public, SHORT)
    assert not isinstance(raised.value, HostKeyError)
    assert 0.5 <= time.monotonic() - started < 60


@pytest.mark.parametrize("host_key", [None, generate_key().public], ids=["any key", "one key"])
def test_something_that_says_nothing_is_waited_for_and_given_up(host_key: str | None) -> None:
    with answering(b"") as port, pytest.raises(ReadyTimeoutError, match="no answer"):
        wait_until_reachable("127.0.0.1", port, host_key, SHORT)


def test_something_that_is_no_ssh_server_is_given_up() -> None:
    with answering(b"HTTP/1.1 400\r\n\r\n") as port:
        with pytest.raises(ReadyTimeoutError, match="is not an SSH server"):
            wait_until_reachable("127.0.0.1", port, None, SHORT)
        with pytest.raises(ReadyTimeoutError):
            wait_until_reachable("127.0.0.1", port, generate_key().public, SHORT)


def test_a_name_without_an_address_is_given_up() -> None:
    with pytest.raises(ReadyTimeoutError, match=r"no-such-host\.invalid:22 did not answer"):
        wait_until_reachable("no-such-host.invalid", 22, None, timedelta(0))


def test_no_thread_is_left_of_a_wait(worker: Worker) -> None:
    before = threading.active_count()

    wait_until_reachable(worker.login.host, worker.login.port, worker.login.host_key, READY)

    assert threading.active_count() == before


def test_a_key_that_the_machine_does_not_know_gets_nobody_in(worker: Worker) -> None:
    with pytest.raises(ReadyTimeoutError, match="it refuses the SSH key"):
        Session(replace(worker.login, key=generate_key()), timeout=SHORT)


def test_a_user_that_the_machine_does_not_have_gets_in_nowhere(worker: Worker) -> None:
    with pytest.raises(ReadyTimeoutError, match="it refuses the SSH key"):
        Session(replace(worker.login, user="root"), timeout=SHORT)


def test_the_users_own_ssh_configuration_takes_no_part(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  Port 1\n  User intruder\n")
    monkeypatch.setenv("HOME", str(tmp_path))

    with worker.session() as session:
        end = session.run_command(
            RemoteCommand(id=new_id(), argv=("true",), limit=READY), lambda _line: None
        )

    assert end.ok


def test_openssh_of_this_machine_agrees_about_the_host_key(worker: Worker) -> None:
    login = worker.login
    if shutil.which("ssh-keyscan") is None:
        pytest.skip("OpenSSH's client is not installed (Debian: openssh-client)")
    scanned = subprocess.run(
        [  # noqa: S607 -- wherever it is installed
            "ssh-keyscan",
            "-t",
            "ed25519",
            "-p",
            str(login.port),
            login.host,
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert login.host_key in scanned.stdout


def test_a_session_that_was_closed_can_be_closed_again(worker: Worker) -> None:
    session = worker.session()

    session.close()
    session.close()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 3_000_001])
def test_an_uploaded_file_arrives_whole_in_folders_that_are_made(
    session: Session, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "artifact.tar.gz"
    path.write_bytes(os.urandom(size))
    place = f"{new_id()}/deep/artifact.tar.gz"

    session.upload(path, place, sha256=sha256(path))

    lines: list[str] = []
    session.run_command(
        RemoteCommand(id=new_id(), argv=("sha256sum", place), limit=READY), lines.append
    )
    assert lines == [f"{sha256(path)}  {place}"]


def test_a_file_with_another_hash_does_not_get_its_name(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "artifact.tar.gz"
    path.write_bytes(b"something else")
    folder = new_id()

    with pytest.raises(StageError, match=f"cannot copy artifact.tar.gz .* hash {sha256(path)}"):
        session.upload(path, f"{folder}/artifact.tar.gz", sha256="0" * 64)

    lines: list[str] = []
    session.run_command(
        RemoteCommand(id=new_id(), argv=("ls", "-A", folder), limit=READY), lines.append
    )
    assert lines == []


def test_a_file_that_cannot_be_written_says_why(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "artifact.tar.gz"
    path.write_bytes(os.urandom(5_000_000))

    with pytest.raises(StageError, match=r"(Permission denied|File exists|Not a directory)"):
        session.upload(path, "/proc/self/status/artifact", sha256=sha256(path))


def test_a_full_disk_is_told_by_name(machines: SshMachines, tmp_path: Path) -> None:
    if machines.kind == "asyncssh":
        pytest.skip("a stand-in has no disk of its own")
    key, host_key = generate_key(), generate_key()
    machines.disk_bytes = 4_000_000
    text = a_user_data(key, host_key)
    host = machines.boot(Booting(provider="acme", id="1", name="full", user_data=text))
    worker = Worker(
        machine=machines.at(host).wait(),
        login=SshTarget(host=host, port=machines.port, key=key, host_key=host_key.public),
        user_data=text,
    )
    path = tmp_path / "artifact.tar.gz"
    path.write_bytes(os.urandom(8_000_000))

    with worker.session() as session:
        with pytest.raises(StageError, match="No space left on device"):
            session.upload(path, "artifact.tar.gz", sha256=sha256(path))
        end = session.run_command(
            RemoteCommand(id=new_id(), argv=("ls", "artifact.tar.gz"), limit=READY),
            lambda _line: None,
        )

    assert end.status == 2


def test_an_upload_is_begun_again_when_the_connection_breaks(
    booted: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = booted()
    path = tmp_path / "artifact.tar.gz"
    path.write_bytes(os.urandom(60_000_000))
    home = worker.machine.folder / "home" / "materia"
    seen: list[int] = []

    def cut_when_it_has_begun() -> None:
        while not seen:
            for partial in home.glob("artifact.tar.gz.*.part"):
                with contextlib.suppress(OSError):
                    seen.extend([size] if 0 < (size := partial.stat().st_size) < 60_000_000 else [])
        worker.machine.cut()

    cut = threading.Thread(target=cut_when_it_has_begun)
    with worker.session() as session:
        cut.start()
        session.upload(path, "artifact.tar.gz", sha256=sha256(path))
        cut.join()
        lines: list[str] = []
        session.run_command(
            RemoteCommand(id=new_id(), argv=("sha256sum", "artifact.tar.gz"), limit=READY),
            lines.append,
        )

    assert lines == [f"{sha256(path)}  artifact.tar.gz"]
