"""Machines of an emulated cloud that are halted, frozen or silent, and what is left of them."""

import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.machines import READY, Worker, a_user_data, answers, everything, lives, new_id
from materia_providers.cloud_init import generate_key
from materia_runner.ssh.agent.keep_alive import descendants
from materia_runner.ssh.command import RemoteCommand
from materia_testing.emulation.ssh_machines.boot import Booting
from materia_testing.emulation.ssh_machines.machine import Kind, SshMachines

pytest_plugins = ["machine_fixtures"]


def test_a_machine_powers_off_by_itself_at_its_deadline(machines: SshMachines) -> None:
    machines.minute_seconds = 0.02  # the deadline is an hour away
    key, host_key = generate_key(), generate_key()
    host = machines.boot(
        Booting(provider="acme", id="1", name="short", user_data=a_user_data(key, host_key))
    )
    machine = machines.at(host).wait()
    left = descendants(machine._process.pid)

    end = time.monotonic() + 10
    while machine.running and time.monotonic() < end:
        time.sleep(0.05)

    assert not machine.running
    assert not machine.folder.exists()
    assert not any(map(lives, left))


def test_halt_leaves_no_process_and_no_folder(booted: Callable[..., Worker]) -> None:
    worker = booted()
    with worker.session() as session:
        script = RemoteCommand(
            id=new_id(),
            argv=("sh", "-c", "(setsid sleep 900 &) ; touch here; echo up; exec sleep 900"),
            limit=READY,
            lease=timedelta(seconds=0.2),
        )
        processes: list[int] = []

        def pull_the_plug(_line: str) -> None:
            processes.extend(everything(worker))
            worker.machine.halt()
            raise KeyError

        with pytest.raises(KeyError):
            session.run_command(script, pull_the_plug)

    assert len(processes) > 4
    assert [process for process in processes if lives(process)] == []
    assert not worker.machine.folder.exists()
    assert not worker.machine.running
    assert not answers(worker)


def test_a_frozen_machine_can_be_halted(booted: Callable[..., Worker]) -> None:
    worker = booted()
    processes = everything(worker)
    worker.machine.freeze()

    worker.machine.halt()

    assert [process for process in processes if lives(process)] == []
    assert not worker.machine.folder.exists()


def test_a_frozen_machine_goes_on_when_thawed(booted: Callable[..., Worker]) -> None:
    worker = booted()

    worker.machine.freeze()
    assert not answers(worker)
    worker.machine.thaw()

    assert answers(worker)


def test_a_silent_machine_says_nothing_until_it_is_healed(booted: Callable[..., Worker]) -> None:
    worker = booted()

    worker.machine.silence()
    assert not answers(worker)
    worker.machine.heal()

    assert answers(worker)


def test_halting_again_or_what_is_not_there_does_nothing(
    machines: SshMachines, booted: Callable[..., Worker]
) -> None:
    worker = booted()
    worker.machine.halt()
    worker.machine.halt()

    machines.halt(Booting(provider="acme", id="never-was", name="x"))


def test_the_same_instance_booted_again_starts_from_its_image(machines: SshMachines) -> None:
    key, host_key = generate_key(), generate_key()
    instance = Booting(provider="acme", id="1", name="again", user_data=a_user_data(key, host_key))
    first = machines.at(machines.boot(instance)).wait()

    second = machines.at(machines.boot(instance)).wait()

    assert not first.running
    assert not first.folder.exists()
    assert machines.all() == [second]


def test_closing_halts_every_machine(kind: Kind) -> None:
    with SshMachines(kind=kind) as machines:
        hosts = [
            machines.boot(
                Booting(
                    provider="acme",
                    id=str(number),
                    name=f"m{number}",
                    user_data=a_user_data(generate_key(), generate_key()),
                )
            )
            for number in range(2)
        ]
        found = [machines.at(host).wait() for host in hosts]

    assert machines.all() == []
    assert [machine.running for machine in found] == [False, False]
    with pytest.raises(KeyError, match=re.escape(hosts[0])):
        machines.at(hosts[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_process_that_made_a_machine_dies(
    kind: Kind, how: signal.Signals
) -> None:
    maker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                import signal, time
                from materia_testing.emulation.ssh_machines.boot import Booting
                from materia_testing.emulation.ssh_machines.machine import SshMachines
                machines = SshMachines(kind={kind!r})
                machine = machines.at(machines.boot(Booting(provider="a", id="1", name="m")))
                machine.wait()
                print(machine._process.pid, machine.folder, flush=True)
                time.sleep(60)
                """),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert maker.stdout is not None
    with maker.stdout:
        process, folder = maker.stdout.readline().split()
    processes = [int(process), *descendants(int(process))]
    assert Path(folder).exists()

    maker.send_signal(how)
    maker.wait()

    end = time.monotonic() + 10
    while (any(map(lives, processes)) or Path(folder).exists()) and time.monotonic() < end:
        time.sleep(0.02)
    assert len(processes) > 1
    assert [one for one in processes if lives(one)] == []
    assert not Path(folder).exists()
