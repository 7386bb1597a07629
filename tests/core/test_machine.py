"""Machines of an emulated cloud: how they boot, who is let in, and what they see of this one."""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.machines import READY, SHORT, Worker, a_user_data, answers, everything, new_id
from materia.errors import ConfigError, ReadyTimeoutError
from materia_providers.cloud_init import generate_key, user_data
from materia_runner.ssh.command import RemoteCommand, SshTarget
from materia_runner.ssh.session import Session, wait_until_reachable
from materia_testing.emulation.ssh_machines import sandbox
from materia_testing.emulation.ssh_machines.boot import Booting
from materia_testing.emulation.ssh_machines.machine import Kind, SshMachines, free_address, ssh_port

pytest_plugins = ["machine_fixtures"]


def run(worker: Worker, *argv: str) -> list[str]:
    lines: list[str] = []
    with worker.session() as session:
        end = session.run_command(RemoteCommand(id=new_id(), argv=argv, limit=READY), lines.append)
    assert end.ok, end
    return lines


def test_machines_say_what_they_are(kind: Kind) -> None:
    assert SshMachines(kind=kind).kind == kind


def test_the_best_kind_is_taken_and_the_reason_for_a_lesser_one_is_told() -> None:
    machines = SshMachines()

    assert machines.kind == ("asyncssh" if machines.why_stand_in else "openssh")
    assert machines.why_stand_in == sandbox.why_not()


def test_the_server_is_the_one_that_the_kind_names(worker: Worker) -> None:
    banner = {"openssh": r"OpenSSH", "asyncssh": r"AsyncSSH"}[worker.machine.kind]

    lines = run(worker, "sh", "-c", "echo $SSH_CLIENT")

    with_client = worker.machine.kind == "openssh"
    assert (lines != [""]) is with_client
    assert re.search(banner, _banner(worker))


def _banner(worker: Worker) -> str:
    with socket.create_connection((worker.login.host, worker.login.port), 5) as line:
        return line.recv(64).decode()


def test_a_machine_that_booted_answers(booted: Callable[..., Worker]) -> None:
    assert answers(booted())


def test_booting_returns_the_address_at_once(machines: SshMachines) -> None:
    key = generate_key()
    started = time.monotonic()

    host = machines.boot(
        Booting(
            provider="acme",
            id="1",
            name="later",
            user_data=a_user_data(key, generate_key()),
            boot_seconds=30,
        )
    )

    assert time.monotonic() - started < 30
    with pytest.raises(ReadyTimeoutError, match="connection refused"):
        wait_until_reachable(host, machines.port, None, SHORT)
    machines.close()
    assert time.monotonic() - started < 30


def test_each_machine_has_an_address_of_its_own_and_a_port_for_all(
    booted: Callable[..., Worker],
) -> None:
    workers = [booted() for _ in range(3)]

    assert len({worker.login.host for worker in workers}) == 3
    assert {worker.login.port for worker in workers} == {ssh_port()}
    assert all(worker.login.host.startswith("127.") for worker in workers)


def test_addresses_are_spread_so_that_two_processes_do_not_meet() -> None:
    assert len({free_address() for _ in range(2000)}) > 1990


def test_the_user_of_the_user_data_is_there_with_a_home(worker: Worker) -> None:
    user, home = run(worker, "sh", "-c", "echo $USER; echo $HOME")

    assert user == "materia"
    assert home.endswith("/home/materia")


def test_a_machine_that_is_walled_in_sees_nothing_of_this_one(worker: Worker) -> None:
    if worker.machine.kind == "asyncssh":
        pytest.skip("a stand-in has no wall")
    here = Path(__file__).resolve().parents[2]

    lines = run(worker, "sh", "-c", f"ls {here} 2>&1; ps ax -o args; ls /tmp /var/tmp; id -un")

    assert "No such file" in lines[0] or "Permission denied" in lines[0]
    assert not any("pytest" in line for line in lines)
    assert lines[-1] == "materia"


def test_a_machine_cannot_write_to_this_one(worker: Worker) -> None:
    if worker.machine.kind == "asyncssh":
        pytest.skip("a stand-in has no wall")

    lines = run(worker, "sh", "-c", "touch /usr/bin/intruder /etc/intruder 2>&1 || true")

    assert len(lines) == 2
    assert not Path("/usr/bin/intruder").exists()
    assert not Path("/etc/intruder").exists()


def test_only_the_key_in_the_user_data_lets_in(worker: Worker) -> None:
    other = SshTarget(
        host=worker.login.host,
        port=worker.login.port,
        key=generate_key(),
        host_key=worker.login.host_key,
    )

    with pytest.raises(ReadyTimeoutError, match="refuses the SSH key"):
        Session(other, timeout=SHORT)


def test_a_machine_without_user_data_lets_its_own_user_in_with_the_keys_of_the_api(
    machines: SshMachines,
) -> None:
    key = generate_key()
    host = machines.boot(
        Booting(
            provider="acme", id="1", name="stock", login="debian", authorized_keys=(key.public,)
        )
    )
    machine = machines.at(host).wait()
    shown = subprocess.run(
        ["ssh-keyscan", "-t", "ed25519", "-p", str(machine.port), host],  # noqa: S607 -- where it is
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split(" ", 1)[1]
    login = SshTarget(host=host, port=machine.port, user="debian", key=key, host_key=shown.strip())

    with Session(login, timeout=READY) as session:
        lines: list[str] = []
        session.run_command(
            RemoteCommand(id=new_id(), argv=("sh", "-c", "echo $USER"), limit=READY), lines.append
        )

    assert lines == ["debian"]


def test_commands_of_the_first_boot_are_run(booted: Callable[..., Worker]) -> None:
    worker = booted(runcmd=["echo said the shell", ["echo", "said", "$HOME"]])

    end = time.monotonic() + 5
    while "$HOME" not in worker.machine.console() and time.monotonic() < end:
        time.sleep(0.01)

    assert "said the shell\nsaid $HOME\n" in worker.machine.console()


def test_files_of_the_first_boot_are_written(booted: Callable[..., Worker], kind: Kind) -> None:
    if kind == "asyncssh":
        pytest.skip("a stand-in writes no files")
    worker = booted(
        write_files=[{"path": "/etc/acme/note", "content": "two\nlines\n", "permissions": "0640"}]
    )

    assert run(worker, "stat", "-c", "%a %s", "/etc/acme/note") == ["640 10"]


def test_no_variable_of_this_process_is_seen_by_a_machine_or_its_keepers(
    booted: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_TOKEN", "correct-horse")
    worker = booted()

    seen = []
    for process in everything(worker):
        with contextlib.suppress(OSError):  # gone meanwhile: one for each connection
            seen.append(Path(f"/proc/{process}/environ").read_bytes())

    assert len(seen) > 1
    assert not any(b"correct-horse" in variables for variables in seen)


def test_user_data_that_is_not_understood_is_refused_loudly(machines: SshMachines) -> None:
    odd = user_data({"ssh_keys": {}, "swap": {"size": 1}})

    with pytest.raises(ValueError, match="does not support swap"):
        machines.boot(Booting(provider="acme", id="1", name="odd", user_data=odd))
    with pytest.raises(ConfigError, match="cloud-config"):
        machines.boot(Booting(provider="acme", id="1", name="odd", user_data="#!/bin/sh\ntrue"))
    assert machines.all() == []


def test_a_machine_that_does_not_come_up_shows_its_console(kind: Kind) -> None:
    with SshMachines(kind=kind) as machines:
        host = machines.boot(
            Booting(
                provider="acme", id="1", name="late", user_data=_any_user_data(), boot_seconds=60
            )
        )
        with pytest.raises(RuntimeError, match=f"the {kind} machine does not answer"):
            machines.at(host).wait(seconds=0.3)


def _any_user_data() -> str:
    return a_user_data(generate_key(), generate_key())
