"""A supervisor keeps itself current: a real sshd and a real systemd, in namespaces."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import own_systemd
from fakes.own_supervisor import OwnSupervisor, command_line
from fakes.s3 import KEY, SECRET, S3Server
from fakes.webhook import WebhookServer
from fakes.workshop import wait_until
from materia.compute import Architecture
from materia_runner.artifact.bucket import ArtifactBucket, object_name
from materia_runner.artifact.channel.publish import Content, move_back, push_release
from materia_runner.artifact.channel.release import Release, ReleasedArtifact
from materia_runner.artifact.target import Artifact
from materia_runner.config.pipeline import Bucket
from materia_runner.ledger.state import State
from materia_runner.schedule.enroll import Enrolment, KnownHosts, enroll
from materia_runner.schedule.update import is_behind

needs_systemd = pytest.mark.skipif(bool(own_systemd.why_not()), reason=str(own_systemd.why_not()))
KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
PYTHON = f"3.{sys.version_info.minor}"
HERE: Architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
CONTENT = Content(commit="", source="psdonline", sink="duckdb", versions={}, models="")
RUN = "materia-coffee-run.service"
UPDATE = "materia-coffee-update.service"


class Supervised:
    """A supervisor, its channel in a bucket, and what its command lines note of their calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server, self.hook = S3Server(), WebhookServer()
        self.name = self.server.new_bucket()
        address = Bucket(url=f"s3://{self.name}/m", endpoint=self.server.endpoint)
        self.bucket = ArtifactBucket(address, KEYS)
        self.secrets = {**KEYS, "MATERIA_RUN_WEBHOOK": self.hook.address}
        self.machine = OwnSupervisor(folder / "supervisor")
        self.calls = self.machine.root() / "srv/calls"  # its services have a /tmp of their own
        self.calls.touch()
        self.calls.chmod(0o666)
        self.config = (
            'name = "coffee"\nprovider = "hetzner"\n'
            '[schedule]\nrun = "*-*-* 03:00 UTC"\n'
            f'[artifacts]\nbucket = "{address.url}"\nendpoint = "{address.endpoint}"\n'
            'channel = "prod"\n[notify]\nruns = true\n'
        )

    def push(self, mark: str, *, more: str = "") -> Artifact:
        artifact = command_line(self.folder, mark=f"# {mark}", calls=Path("/srv/calls"), more=more)
        push_release(
            self.bucket, [artifact], CONTENT, pipeline="coffee", channel="prod", say=lambda _: None
        )
        return artifact

    def enroll(self, artifact: Artifact) -> None:
        enroll(
            self.machine.target,
            Enrolment(name="coffee", config=self.config, secrets=self.secrets),
            known=KnownHosts(State(self.folder / "state"), "127.0.0.1"),
            artifact=lambda _python, _machine: artifact,
            say=lambda _: None,
            timeout=timedelta(seconds=20),
        )

    def run(self) -> str:
        """Start a run as its timer does; the release that it ran from, by its hash."""
        before = len(self.calls.read_text().splitlines())
        self.machine.systemd.systemctl("start", RUN)
        calls = [line.split() for line in self.calls.read_text().splitlines()[before:]]
        (release,) = (one[0] for one in calls if one[1] == "run")
        return release

    def update_ended(self) -> str:
        shown = self.machine.systemd.systemctl("show", UPDATE, "--property=Result", "--value")
        return shown.stdout.strip()

    def messages(self) -> list[str]:
        """What the webhook of runs got about updates."""
        return [one.text for one in self.hook.pings if one.text.startswith("materia update")]

    def releases(self) -> set[str]:
        return {one.name for one in (self.machine.root() / "opt/materia/releases").iterdir()}

    def close(self) -> None:
        self.machine.close()
        self.server.close()
        self.hook.close()


@pytest.mark.parametrize(
    ("path", "behind"),
    [
        ("/opt/materia/releases/{sha256}/lib", False),
        ("/opt/materia/releases/{other}/lib", True),
        ("/srv/tests:/srv/site", False),  # no supervisor
        ("", False),
    ],
)
def test_a_supervisor_knows_that_its_channel_is_ahead_of_it(
    tmp_path: Path, path: str, *, behind: bool
) -> None:
    artifact = replace(command_line(tmp_path), python=PYTHON, architecture=HERE)
    release = Release(
        id="0" * 12,
        pushed_at=datetime.now(UTC),
        commit="",
        source="psdonline",
        sink="duckdb",
        versions={},
        models="",
        artifacts=(
            ReleasedArtifact(
                sha256=artifact.sha256,
                size=artifact.size,
                python=PYTHON,  # type: ignore[arg-type]  # one of those that materia runs on
                architecture=HERE,
                stages=artifact.stages,
            ),
        ),
    )
    lib = path.format(sha256=artifact.sha256, other="0" * 64)

    assert is_behind(release, {"PYTHONPATH": lib}) is behind
    # Nothing for the Python of this machine: it stays behind.
    empty = replace(release, artifacts=())
    assert is_behind(empty, {"PYTHONPATH": lib}) is lib.startswith("/opt")


def test_a_push_for_one_more_machine_is_named_with_all_that_the_release_is_for(
    tmp_path: Path,
) -> None:
    artifact = command_line(tmp_path)
    one = ReleasedArtifact(
        sha256=artifact.sha256,
        size=artifact.size,
        python="3.11",
        architecture="arm64",
        stages=artifact.stages,
    )
    release = Release(
        id="0" * 12,
        pushed_at=datetime.now(UTC),
        commit="",
        source="psdonline",
        sink="duckdb",
        versions={},
        models="",
        artifacts=(one,),
    )

    # A push of the new one alone would leave the workers without theirs.
    named = release.push_options("3.12", "x86_64")
    assert named == "--python 3.11,3.12 --arch arm64 --arch x86_64"


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    made = Supervised(tmp_path_factory.mktemp("supervised"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def first(supervised: Supervised) -> Artifact:
    """The release that it was enrolled with."""
    artifact = supervised.push("1")
    supervised.enroll(artifact)
    return artifact


@pytest.mark.slow
@needs_systemd
def test_the_next_run_is_of_the_release_that_the_channel_names_and_of_the_one_before_again(
    supervised: Supervised, first: Artifact
) -> None:
    assert supervised.run() == first.sha256
    second = supervised.push("2")
    cut_off = supervised.machine.root() / "opt/materia/releases/.0.tar.gz"
    cut_off.touch()  # of an update in a power cut
    assert supervised.run() == second.sha256
    units = supervised.machine.systemd.systemctl("cat", RUN, UPDATE).stdout
    assert units.count(f"PYTHONPATH=/opt/materia/releases/{second.sha256}/lib\n") == 2

    move_back(supervised.bucket, "previous", pipeline="coffee", channel="prod")
    assert supervised.run() == first.sha256
    assert supervised.update_ended() == "success"
    assert supervised.releases() == {first.sha256, second.sha256}
    third = supervised.push("3")
    assert supervised.run() == third.sha256
    assert len(supervised.releases()) == 2
    move_back(supervised.bucket, "previous", pipeline="coffee", channel="prod")
    assert supervised.run() == first.sha256


@pytest.mark.slow
@needs_systemd
def test_an_update_waits_for_the_one_of_another_pipeline(
    supervised: Supervised, first: Artifact
) -> None:
    assert supervised.run() == first.sha256
    second, before = supervised.push("turn"), supervised.releases()
    asked = len(supervised.server.requests)
    other = os.open(supervised.machine.root() / "opt/materia/releases", os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        supervised.machine.systemd.systemctl("start", "--no-block", UPDATE)
        wait_until(lambda: bool(supervised.server.since(asked)), "the update reads its channel")
        time.sleep(1)  # as long as it would take
        assert supervised.releases() == before
    finally:
        os.close(other)
    assert supervised.run() == second.sha256  # which waits for the update

    move_back(supervised.bucket, "previous", pipeline="coffee", channel="prod")
    assert supervised.run() == first.sha256


CAMPAIGN = pytest.mark.campaign


@pytest.mark.slow
@needs_systemd
@pytest.mark.parametrize(
    "fault",
    ["gone", pytest.param("damaged", marks=CAMPAIGN), pytest.param("broken", marks=CAMPAIGN)],
)
def test_a_release_that_cannot_be_fetched_or_run_leaves_the_one_before_in_use(
    supervised: Supervised, first: Artifact, fault: str
) -> None:
    more = "raise SystemExit('it is broken')" if fault == "broken" else ""
    bad = supervised.push(fault, more=more)
    key = f"m/{object_name(bad.sha256)}"
    if fault == "gone":
        supervised.bucket.delete(object_name(bad.sha256))
    if fault == "damaged":
        body = b"x" * bad.size
        supervised.server.client().put_object(Bucket=supervised.name, Key=key, Body=body)

    said = len(supervised.messages())
    assert supervised.run() == first.sha256
    assert supervised.update_ended() == "exit-code"
    supervised.machine.systemd.systemctl("start", UPDATE)  # as each sweep does
    (message,) = supervised.messages()[said:]
    assert "and the one before stays in use" in message.splitlines()[0]
    assert "planted" not in message
    assert {one.path for one in supervised.hook.pings if one.text == message} == {"/1"}
    assert not [one for one in supervised.releases() if one.startswith(".")]

    move_back(supervised.bucket, "previous", pipeline="coffee", channel="prod")
    assert supervised.run() == first.sha256
    assert supervised.update_ended() == "success"
