"""A run of a channel rents machines that run what was pushed, and needs no uv where it starts."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from fakes.esc import TOKEN, Esc, Secret
from fakes.rented import Rented, with_packages
from fakes.s3 import KEY, SECRET, S3Server
from fakes.workshop import Workshop
from materia.errors import ArtifactError
from materia_runner.artifact.bucket import ArtifactBucket, object_name
from materia_runner.artifact.channel.pinned import refuse_other
from materia_runner.artifact.channel.publish import Content, push_release
from materia_runner.artifact.channel.release import (
    Channel,
    Release,
    decoded,
    encoded,
    release_id,
)
from materia_runner.artifact.target import Artifact
from materia_runner.config.pipeline import Bucket
from materia_runner.messages.stage_request import VERSION
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not())),
]
PYTHON = f"3.{sys.version_info.minor}"
HERE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
EXTRACT = ("pipeline", "run", "extract", "--sample", "--json")
KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


class Production:
    """A pipeline with a channel, on an emulated cloud and a fake of S3."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.server = S3Server()
        self.bucket = self.server.new_bucket()
        self.folder = folder
        self.cache = cache
        self.workshop = Workshop(folder)
        self.rented = Rented(self.workshop, ["hetzner"], cache=cache)
        self.write()
        # Programs of the machine that starts runs: uv is not among them.
        self.programs = folder / "bin"
        self.programs.mkdir()
        for folder_of_path in os.environ["PATH"].split(os.pathsep):
            for program in Path(folder_of_path).glob("*"):
                link = self.programs / program.name
                if not program.name.startswith("uv") and not link.is_symlink():
                    link.symlink_to(program)

    def write(self, more: str = "") -> None:
        bucket = f'bucket = "s3://{self.bucket}/m"\nendpoint = "{self.server.endpoint}"\n'
        self.rented.write(f'provider = "hetzner"\n{more}\n[artifacts]\n{bucket}channel = "prod"\n')

    def push_extract(self) -> Release:
        """Push a release with the small artifact alone, which is made in a moment."""
        target = ("--python", PYTHON, "--arch", HERE, "--stage", "extract", "--json")
        built = self.rented.run("artifact", "build", *target, **KEYS)
        assert built.returncode == 0, built.stderr
        (one,) = json.loads(built.stdout)
        address = Bucket(url=f"s3://{self.bucket}/m", endpoint=self.server.endpoint)
        names = ("materia-core", "materia-runner", "materia-psdonline", "materia-duckdb")
        return push_release(
            ArtifactBucket(address, KEYS),
            [Artifact(**{**one, "path": Path(one["path"]), "stages": tuple(one["stages"])})],
            Content(
                commit="",
                source="psdonline",
                sink="duckdb",
                versions={name: version(name) for name in names},
                models="",
            ),
            pipeline="psdonline",
            channel="prod",
            say=lambda _: None,
        )

    def push_with_one_variable(self) -> subprocess.CompletedProcess[str]:
        """As CI does: all secrets but one come from Pulumi ESC."""
        with Esc() as esc:
            secrets = {**KEYS, **self.rented.clouds["hetzner"].secrets()}
            esc.environments["acme/beanflows/prod"] = {
                "environmentVariables": {name: Secret(text) for name, text in secrets.items()}
            }
            environment = {**with_packages(), "XDG_CACHE_HOME": str(self.cache), **esc.secrets()}
            config = self.workshop.directory / "materia.toml"
            text = config.read_text()
            config.write_text(f'{text}\n[secrets]\nesc = "acme/beanflows/prod"\n')
            try:
                check = self.workshop.run("secrets", "check", environment=environment)
                assert check.returncode == 0, check.stderr
                return self.workshop.run(
                    "artifact", "push", "--channel", "prod", environment=environment
                )
            finally:
                config.write_text(text)

    def push(self) -> dict[str, Any]:
        done = self.rented.run("artifact", "push", "--channel", "prod", "--json", **KEYS)
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stderr + done.stdout
        release: dict[str, Any] = json.loads(done.stdout)
        return release

    def run_without_uv(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        cache = self.folder / "cache of the supervisor"
        more = {"PATH": str(self.programs), "XDG_CACHE_HOME": str(cache), **KEYS}
        return self.rented.run(*arguments, **more)

    def close(self) -> None:
        self.rented.__exit__()
        self.server.close()


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    cache = tmp_path_factory.getbasetemp().parent / "cache"
    made = Production(tmp_path_factory.mktemp("production"), cache)
    yield made
    made.close()


@pytest.fixture(scope="module")
def release(production: Production) -> Release:
    return production.push_extract()


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Production, dict[str, Any]]]:
    """All that `materia artifact push --channel` pushes."""
    cache = tmp_path_factory.getbasetemp().parent / "cache"
    made = Production(tmp_path_factory.mktemp("pushed"), cache)
    yield made, made.push()
    made.close()


@pytest.mark.campaign
def test_a_push_has_what_the_workers_of_the_images_and_the_supervisor_run(
    pushed: tuple[Production, dict[str, Any]],
) -> None:
    _, release = pushed
    found = {(one["python"], tuple(one["stages"])) for one in release["artifacts"]}

    assert found == {
        (PYTHON, ("extract",)),
        (PYTHON, ("extract", "transform")),
        (PYTHON, ("supervisor",)),
    }
    assert set(release["versions"]) == {
        "materia-core",
        "materia-runner",
        "materia-psdonline",
        "materia-duckdb",
    }


def test_a_run_of_a_channel_needs_no_uv_and_its_worker_runs_what_was_pushed(
    production: Production, release: Release
) -> None:
    done = production.run_without_uv(*EXTRACT)

    assert done.returncode == 0, done.stderr
    assert f"workers run the release {release.id} of the channel prod of psdonline" in done.stderr
    shown = production.rented.ledger(json.loads(done.stdout)["run"])
    assert shown["plan"]["release"] == release.id
    assert production.rented.left() == []
    name = f"/{production.bucket}/m/{object_name(release.artifacts[0].sha256)}"
    # One for the runner, which checks it before it rents, and one for the worker.
    assert sum(f"GET {name}" in one for one in production.server.requests) == 2


def test_a_run_holds_the_lease_while_it_rents_and_another_computer_rents_nothing_meanwhile(
    production: Production, release: Release
) -> None:
    client, key = production.server.client(), "m/leases/psdonline.json"
    before = production.rented.billed()
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    lease = {"format": 1, "run": "elsewhere", "host": "laptop", "until": until, "released": False}
    client.put_object(Bucket=production.bucket, Key=key, Body=json.dumps(lease))

    busy = production.run_without_uv(*EXTRACT)
    assert production.rented.billed() == before
    client.delete_object(Bucket=production.bucket, Key=key)
    done = production.run_without_uv(*EXTRACT)

    assert busy.returncode == 5, release.id
    assert "another run of psdonline may rent machines now: elsewhere on laptop" in busy.stderr
    kept = json.loads(production.server.content(production.bucket, key))
    assert (kept["run"], kept["released"]) == (json.loads(done.stdout)["run"], True)
    assert len(production.rented.ledger(kept["run"])["instances"]) == 1


@pytest.mark.campaign
def test_ci_pushes_with_the_token_of_pulumi_alone_and_shows_no_secret(
    pushed: tuple[Production, dict[str, Any]],
) -> None:
    production, release = pushed

    done = production.push_with_one_variable()

    assert done.returncode == 0, done.stderr
    assert f"channel prod of psdonline: release {release['id']}" in done.stdout
    token = production.rented.clouds["hetzner"].secrets()["HCLOUD_TOKEN"]
    for secret in (SECRET, token, TOKEN):
        assert secret not in done.stdout + done.stderr


@pytest.mark.campaign
def test_a_whole_run_of_a_channel_needs_no_uv(pushed: tuple[Production, dict[str, Any]]) -> None:
    production, release = pushed
    first = production.run_without_uv("run", "--sample", "--json")
    again = production.run_without_uv("pipeline", "run", "transform", "--sample", "--json")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert production.rented.left() == []
    (transform,) = json.loads(again.stdout)["stages"]
    # The release has the hash of its models, so that no machine is rented for nothing.
    assert transform["provider"] == "none"
    shown = production.rented.ledger(json.loads(first.stdout)["run"])
    assert shown["plan"]["release"] == release["id"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ('name = "cocoa"', "nothing was pushed to the channel prod of cocoa in s3://"),
        ('name = "psdonline"\nsink = "s3"', "is for the source psdonline and the sink duckdb"),
    ],
)
@pytest.mark.usefixtures("release")
def test_a_channel_that_cannot_be_used_ends_the_run_before_anything_is_rented(
    production: Production, more: str, sentence: str
) -> None:
    before = production.rented.clouds["hetzner"].billed()
    production.write(more)
    done = production.run_without_uv(*EXTRACT)
    production.write()

    assert done.returncode == 1
    assert sentence in done.stderr
    assert production.rented.clouds["hetzner"].billed() == before


@pytest.mark.campaign
def test_the_supervisor_of_a_release_runs_without_any_package_of_this_environment(
    pushed: tuple[Production, dict[str, Any]], tmp_path: Path
) -> None:
    production, release = pushed
    (found,) = (one for one in release["artifacts"] if one["stages"] == ["supervisor"])
    name = f"m/sha256/{found['sha256']}.tar.gz"
    (tmp_path / "a.tar.gz").write_bytes(production.server.content(production.bucket, name))
    subprocess.run(["/bin/tar", "xzf", "a.tar.gz"], cwd=tmp_path, check=True)
    shutil.copy(production.workshop.directory / "materia.toml", tmp_path)

    done = subprocess.run(
        [sys._base_executable, "-S", "-P", "-m", "materia_runner", "artifact", "list", "--json"],  # type: ignore[attr-defined]  # the Python that the environment was made from
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "lib"), "HOME": str(tmp_path), "PATH": "", **KEYS},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["channels"]
    assert (row["channel"], row["release"], row["current"]) == ("prod", release["id"], True)


def test_the_list_shows_the_channel_and_release_names_what_it_lacks(
    production: Production, release: Release
) -> None:
    listed = production.rented.run("artifact", "list", **KEYS)
    back = production.rented.run("artifact", "release", "prod", "--to", "previous", **KEYS)
    odd = production.rented.run("artifact", "push", "--channel", "../prod", **KEYS)
    unknown = production.rented.run("artifact", "release", "beta", "--to", "previous", **KEYS)

    head, row = listed.stdout.splitlines()[-2:]
    assert head.split() == ["channel", "pipeline", "release", "current", "pushed"]
    assert row.split()[:4] == ["prod", "psdonline", release.id, "yes"]
    assert (back.returncode, odd.returncode, unknown.returncode) == (1, 2, 2)
    assert f"has no release before {release.id}" in back.stderr
    assert "a channel must be a name in lower-case letters" in odd.stderr
    assert "nothing was pushed to the channel beta of psdonline" in unknown.stderr


def test_a_release_of_an_earlier_version_is_read_and_its_workers_are_not_used() -> None:
    released = Release(
        id=release_id(()),
        pushed_at=datetime.now(UTC),
        commit="",
        source="folder",
        sink="shelf",
        versions={},
        models="",
        artifacts=(),
        requests=VERSION,
    )
    channel = Channel(current=released.id, releases=(released,))
    text = encoded(channel)
    earlier = json.loads(text)
    del earlier["releases"][0]["requests"]

    now = decoded(text, where="prod").release
    before = decoded(json.dumps(earlier).encode(), where="prod").release

    assert now == released
    refuse_other(now, source="folder", sink="shelf", versions={}, where="prod")
    with pytest.raises(ArtifactError, match=r"workers of prod are of another version .*push again"):
        refuse_other(before, source="folder", sink="shelf", versions={}, where="prod")
