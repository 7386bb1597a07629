"""A supervisor is set up over SSH: a real sshd and a real systemd, in namespaces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import own_systemd
from fakes.own_supervisor import OwnSupervisor, command_line
from fakes.workshop import Workshop
from materia.errors import (
    ConfigError,
    HostKeyError,
    MissingSecretError,
    ReadyTimeoutError,
    StageError,
)
from materia.plugins import Registry
from materia_providers.cloud_init import generate_key
from materia_runner.cli.commands.deployment.enroll import supervisor_secrets
from materia_runner.config.pipeline import Pipeline
from materia_runner.config.stages import STAGES
from materia_runner.ledger.state import State
from materia_runner.schedule import enroll as enrolling
from materia_runner.schedule import enroll_script
from materia_runner.schedule.enroll import Enrolment, KnownHosts, enroll
from materia_runner.ssh.command import SshTarget

CONFIG = 'name = "coffee"\n[schedule]\nrun = "*-*-* 17:30 UTC"\nsweep = 15\n'
HOME = "var/lib/materia/coffee"
SHORT = timedelta(seconds=1)
SECRET = 'planted "secret" $HOME `id` \\n'  # noqa: S105 -- it opens nothing
ENROLMENT = Enrolment(
    name="coffee", config=CONFIG, secrets={"PULUMI_ACCESS_TOKEN": SECRET, "PEM": "one\ntwo"}
)
needs_systemd = pytest.mark.skipif(bool(own_systemd.why_not()), reason=str(own_systemd.why_not()))


class Desk:
    """The computer of who enrolls."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.state = State(folder / "state")
        self.folder = folder
        self.said: list[str] = []
        self.known = KnownHosts(self.state, "127.0.0.1")

    def enroll(
        self,
        target: SshTarget,
        enrolment: Enrolment = ENROLMENT,
        *,
        mark: str = "",
        timeout: timedelta = timedelta(seconds=20),
    ) -> str:
        artifact = command_line(self.folder, mark=mark)
        return enroll(
            target,
            enrolment,
            known=self.known,
            artifact=lambda _python, _machine: artifact,
            say=self.said.append,
            timeout=timeout,
        )


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnSupervisor]:
    made = OwnSupervisor(tmp_path_factory.mktemp("supervisor"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk") / "d")


@pytest.fixture(scope="module")
def first_key(machine: OwnSupervisor, desk: Desk) -> str:
    """The first enrolment."""
    return desk.enroll(machine.target)


@pytest.mark.slow
@needs_systemd
def test_the_timers_run_in_its_systemd_and_the_secrets_are_root_s_alone(
    machine: OwnSupervisor, first_key: str
) -> None:
    timers = [f"materia-coffee-{what}.timer" for what in ("run", "sweep")]
    active = machine.systemd.systemctl("is-active", *timers)
    shown = machine.systemd.systemctl("cat", "materia-coffee-run.service").stdout
    secrets = machine.root() / "etc/materia/coffee.env"

    assert active.stdout.split() == ["active", "active"], first_key
    assert "User=materia\n" in shown
    # Of the release itself: `current` would change under a run.
    release = (machine.root() / "opt/materia/current").readlink()
    assert f"Environment=PYTHONPATH={release}/lib\n" in shown
    assert "--config /var/lib/materia/coffee/materia.toml\n" in shown
    assert (secrets.stat().st_mode & 0o777, secrets.stat().st_uid) == (0o600, 0)
    assert SECRET not in shown
    assert (machine.root() / "var/lib/materia/coffee/materia.toml").read_text() == CONFIG


@pytest.mark.slow
@needs_systemd
def test_systemd_reads_each_secret_as_it_is(machine: OwnSupervisor, first_key: str) -> None:
    out = machine.folder / "seen"
    unit = machine.root() / "run/systemd/system/look.service"
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(
        "[Service]\nType=oneshot\nEnvironmentFile=/etc/materia/coffee.env\n"
        f"ExecStart=/usr/bin/python3 -c 'import os, json; "
        f'open("{out}", "w").write(os.environ["PULUMI_ACCESS_TOKEN"] + "|" + os.environ["PEM"])\'\n'
    )
    machine.systemd.systemctl("daemon-reload")
    done = machine.systemd.systemctl("start", "look")

    assert done.returncode == 0, first_key
    assert out.read_text() == f"{SECRET}|one\ntwo"


@pytest.mark.slow
@needs_systemd
def test_it_makes_a_host_key_itself_and_the_one_of_its_user_data_is_worthless(
    machine: OwnSupervisor, desk: Desk, first_key: str
) -> None:
    assert first_key != machine.target.host_key
    assert desk.known.read() == first_key
    with pytest.raises(HostKeyError):
        desk.enroll(machine.target, timeout=SHORT)
    with pytest.raises(HostKeyError):
        desk.enroll(replace(machine.target, host_key=generate_key().public), timeout=SHORT)


@pytest.mark.slow
@needs_systemd
def test_a_second_enrolment_replaces_release_configuration_and_secrets_and_keeps_the_key(
    machine: OwnSupervisor, desk: Desk, first_key: str
) -> None:
    target = replace(machine.target, host_key=first_key)
    changed = Enrolment(
        name="coffee",
        config=CONFIG.replace("sweep = 15\n", ""),
        secrets={"PULUMI_ACCESS_TOKEN": "rotated"},
    )
    before = (machine.root() / "opt/materia/current").readlink()
    unit = machine.root() / "run/systemd/system/under-way.service"
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(f"[Service]\nExecStart=/bin/sleep 600\nEnvironment=PYTHONPATH={before}/lib\n")
    machine.systemd.systemctl("daemon-reload")
    machine.systemd.systemctl("start", "under-way")

    assert desk.enroll(target, changed, mark="# 2") == first_key

    assert (machine.root() / "opt/materia/current").readlink() != before
    env = (machine.root() / "etc/materia/coffee.env").read_text()
    assert env == 'PULUMI_ACCESS_TOKEN="rotated"\n'
    sweep = machine.systemd.systemctl("is-active", "materia-coffee-sweep.timer")
    assert sweep.stdout.strip() != "active"
    desk.enroll(target, changed, mark="# 3")
    releases = machine.root() / "opt/materia/releases"
    assert len(list(releases.iterdir())) == 3  # with that of the run under way
    machine.systemd.systemctl("stop", "under-way")
    desk.enroll(target, changed, mark="# 4")
    assert len(list(releases.iterdir())) == 2


def state_of(machine: OwnSupervisor) -> list[str]:
    """What its runs would use: settings, secrets, the release, and the rest of that folder."""
    root = machine.root()
    texts = [
        (root / name).read_text() for name in (f"{HOME}/materia.toml", "etc/materia/coffee.env")
    ]
    folder = sorted(one.name for one in (root / HOME).iterdir())
    return [*texts, str((root / "opt/materia/current").readlink()), *folder]


@pytest.mark.slow
@needs_systemd
def test_what_fails_there_is_said_here_without_a_secret_and_changes_nothing_there(
    machine: OwnSupervisor, desk: Desk, first_key: str
) -> None:
    target = replace(machine.target, host_key=first_key)
    desk.enroll(target)
    before = state_of(machine)
    broken = Enrolment(name="coffee", config="[schedule]\nrun = 5\n", secrets={"PEM": "three"})

    with pytest.raises(StageError, match="materia schedule install failed there: ") as raised:
        desk.enroll(target, broken)

    assert "schedule.run" in str(raised.value)
    assert "planted" not in str(raised.value)
    assert "/var/lib/materia/coffee/materia.toml" in str(raised.value)
    assert state_of(machine) == before


def test_supervisors_behind_one_address_have_a_host_key_each(tmp_path: Path) -> None:
    state, keys = State(tmp_path), [generate_key().public for _ in range(3)]
    places = [("gate.example", 22), ("gate.example", 2022), ("gate.example_2022", 22)]
    for (host, port), key in zip(places, keys, strict=True):
        KnownHosts(state, host, port).write(key)

    assert [KnownHosts(state, *place).read() for place in places] == keys
    assert KnownHosts(state, "gate.example").read() == keys[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as another user")
def test_a_python_that_the_user_of_the_runs_cannot_start_is_named_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "private/python3"
    python.parent.mkdir(mode=0o700)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", str(python.parent))

    done = enroll_script.check_release(tmp_path, "nobody", tmp_path / "materia.toml")

    assert done.returncode
    assert f"the user nobody cannot run {python}: Permission denied" in done.stderr


@pytest.mark.parametrize("line", ["", "ssh-rsa AAAA", "ssh-ed25519 AAAA", "ssh-ed25519"])
def test_a_text_that_is_no_host_key_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match="pulumi stack output supervisorHostKey"):
        enrolling.checked_host_key(line)


def test_a_comment_of_a_host_key_is_dropped() -> None:
    key = generate_key().public
    assert enrolling.checked_host_key(f"{key} root@debian\n") == key


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "nothing is scheduled"),
        ("[schedule]\nsweep = 15\n", "set [artifacts] channel"),
    ],
)
def test_without_a_schedule_or_a_channel_nothing_is_sent(
    folders: Workshop, lines: str, said: str
) -> None:
    config = folders.directory / "materia.toml"
    config.write_text(f"{config.read_text()}\n{lines}")

    done = folders.run("schedule", "enroll", "192.0.2.1")

    assert done.returncode == 2
    assert said in done.stderr


def test_what_opens_pulumi_esc_is_sent_also_when_it_is_in_the_env_file(tmp_path: Path) -> None:
    pipeline = Pipeline(
        directory=tmp_path,
        providers=(),
        sources=("psd",),
        sink="duckdb",
        stages=STAGES,
        project=None,
        settings={},
        esc="acme/beanflows/prod",
    )
    registry = Registry(found=(), failures=())
    with pytest.raises(MissingSecretError, match="PULUMI_ACCESS_TOKEN"):
        supervisor_secrets(registry, pipeline, {"HCLOUD_TOKEN": "of the workers"})

    opening = {
        "PULUMI_ACCESS_TOKEN": "pul-1",
        "PULUMI_BACKEND_URL": "https://pulumi.example",  # else the token goes to Pulumi Cloud
    }
    (tmp_path / ".env").write_text("".join(f"{name}={one}\n" for name, one in opening.items()))

    assert supervisor_secrets(registry, pipeline, {"HCLOUD_TOKEN": "of the workers"}) == opening


def test_a_key_that_is_no_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the key"):
        enrolling.login_key(tmp_path / "missing")
    (tmp_path / "odd").write_text("hello")
    with pytest.raises(ConfigError, match="cannot be used"):
        enrolling.login_key(tmp_path / "odd")


def test_an_unreachable_supervisor_is_named(tmp_path: Path) -> None:
    target = SshTarget(host="127.0.0.1", port=9, key=generate_key(), host_key=generate_key().public)
    with pytest.raises(ReadyTimeoutError, match="127"):
        Desk(tmp_path / "d").enroll(target, timeout=SHORT)
