"""The jobs of `.gitlab-ci.yml`, run by gitlab-ci-local from a fresh clone, against fakes.

Jobs run in a shell: what their image would bring is on PATH before, and apt-get does nothing. The
one secret that a job gets is PULUMI_ACCESS_TOKEN; the addresses of the fakes are no secrets.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types
from fakes.esc import TOKEN, Esc, Secret
from fakes.gitlab_local import ORIGIN, PROGRAM, git, run
from fakes.hetzner_open import offer_of, opened
from fakes.infra_settings import KEY as HOST_KEY
from fakes.pulumi_engine.cloud import PulumiCloud
from fakes.pulumi_engine.engine import PULUMI, fill, new_engine
from fakes.renting import request_for
from fakes.s3 import KEY, SECRET, S3Server
from materia_hetzner.emulator.service import Hetzner
from materia_testing.emulation import Behaviour, Clock

ROOT = Path(__file__).resolve().parents[1]
UV = shutil.which("uv")
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(
        PROGRAM is None or UV is None or not shutil.which("rsync"),
        reason="gitlab-ci-local, uv or rsync is not on PATH: npm install gitlab-ci-local",
    ),
]
NAME = "acme/beanflows/prod"
QUICK = timedelta(milliseconds=20)
KEY_LINE = HOST_KEY.private.splitlines()[1]
SAMPLE = "plugins/sources/psdonline/src/materia_psdonline/sample"


@dataclass(frozen=True)
class Clone:
    """A fresh clone of the last commit, on main."""

    folder: Path
    path: tuple[Path, ...]

    def job(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a job, with the cache of packages that a runner would keep."""
        cache = subprocess.run(
            [str(UV), "cache", "dir"], capture_output=True, text=True, check=True
        )
        given = {"UV_CACHE_DIR": cache.stdout.strip(), **variables}
        options = ("--force-shell-executor", "--shell-isolation", "--no-color")
        return run(self.folder, *options, name, variables=given, path=self.path)

    def passes(self, name: str, **variables: str) -> str:
        done = self.job(name, **variables)
        assert done.returncode == 0, done.stdout
        assert f"PASS  {name}" in done.stdout
        return done.stdout

    def commit(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--message=next")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """What the image has: pip, and an apt-get that has nothing to do."""
    folder = tmp_path_factory.mktemp("image")
    subprocess.run([str(UV), "venv", "--quiet", "--seed", str(folder / "venv")], check=True)
    (folder / "bin").mkdir()
    apt = folder / "bin/apt-get"
    apt.write_text("#!/bin/sh\n")
    apt.chmod(0o755)
    return folder / "bin", folder / "venv/bin"


@pytest.fixture
def clone(tmp_path: Path, path: tuple[Path, ...]) -> Clone:
    folder = tmp_path / "materia"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(folder))
    git(folder, "switch", "--quiet", "--force-create", "main")
    git(folder, "remote", "set-url", "origin", ORIGIN)
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    return Clone(folder, path)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@dataclass(frozen=True)
class World:
    """A bucket, Hetzner and Pulumi ESC with the secrets of both."""

    s3: S3Server
    bucket: str
    cloud: Hetzner
    esc: Esc

    def config(self, more: str = "") -> str:
        """A materia.toml that names no secret but where they are."""
        return (
            f'{more}\n[secrets]\nesc = "{NAME}"\n\n[artifacts]\n'
            f'bucket = "s3://{self.bucket}/materia"\nendpoint = "{self.s3.endpoint}"\n'
            f'region = "us-east-1"\n\n[providers.hetzner]\napi_url = "{self.cloud.url}/v1"\n'
        )

    @property
    def variables(self) -> dict[str, str]:
        """The token, and the address that stands for api.pulumi.com."""
        return self.esc.secrets()

    def tells_nothing(self, said: str) -> None:
        for secret in (TOKEN, KEY, SECRET, self.cloud.token):
            assert secret not in said


@pytest.fixture
def world(s3: S3Server) -> Iterator[World]:
    with (
        Hetzner(clock=Clock(), behaviour=Behaviour(boot=QUICK, delete=QUICK)) as cloud,
        Esc() as esc,
    ):
        variables: dict[str, Any] = {
            "HCLOUD_TOKEN": Secret(cloud.token),
            "AWS_ACCESS_KEY_ID": Secret(KEY),
            "AWS_SECRET_ACCESS_KEY": Secret(SECRET),
        }
        esc.environments[NAME] = {"environmentVariables": variables}
        yield World(s3, s3.new_bucket(), cloud, esc)


BUILT = {
    "build:extract": "dist/extract/*.tar.gz",
    "build:transform": "dist/transform/*.tar.gz",
    "build:cli": "dist/cli/*.tar.gz",
    "build:wheels": "dist/materia_runner-*.whl",
    "docs": "public/index.html",
    "pages": "public/index.html",
}


@pytest.mark.parametrize(("name", "file"), BUILT.items(), ids=BUILT)
def test_a_job_leaves_what_it_builds(clone: Clone, name: str, file: str) -> None:
    clone.passes(name)

    assert list(clone.folder.glob(file))


# Of the tests a few each, as the suites are run by themselves.
CHECKED = {
    "lint": "",
    "test:cli: [3.11,test-cli]": "tests/core/test_figures.py",
    "test:sqlmesh": "-k as_written",
    "test:plugin: [ecb]": "",
    "test:infra": "-k settings",
}


@pytest.mark.parametrize(("name", "only"), CHECKED.items(), ids=CHECKED)
def test_a_job_that_checks_passes_on_what_is_committed(clone: Clone, name: str, only: str) -> None:
    clone.passes(name, PYTEST_ADDOPTS=only)


def test_coverage_is_reported_in_the_way_that_gitlab_reads(clone: Clone) -> None:
    here = {"UV_PYTHON": platform.python_version(), "COVERAGE_CORE": "ctrace"}
    said = clone.passes(
        "test:cli: [3.13,test-coverage]", PYTEST_ADDOPTS="tests/core/test_figures.py", **here
    )

    lines = "\n".join(line.partition(" > ")[2] for line in said.splitlines())
    document = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
    assert re.search(document["test:cli"]["coverage"].strip("/"), lines, re.MULTILINE)
    report = document["test:cli"]["artifacts"]["reports"]["coverage_report"]["path"]
    assert f"XML written to file {report}" in lines


def test_a_merge_request_gets_the_plan_of_what_it_changes(clone: Clone) -> None:
    model = "transform/sqlmesh_materia/models/serving/dim_unit.sql"
    base, text = git(clone.folder, "rev-parse", "HEAD"), (clone.folder / model).read_text()
    clone.commit({model: text.replace("SELECT", "SELECT\n  1 AS one,", 1)})

    merge = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_DIFF_BASE_SHA": base}
    clone.passes("sqlmesh:plan", **merge)

    plan = (clone.folder / "sqlmesh-plan.txt").read_text()
    assert "Directly Modified" in plan
    assert "serving.dim_unit" in plan
    assert "dim_commodity" not in plan


def test_what_was_tested_is_pushed_with_one_token(clone: Clone, world: World) -> None:
    clone.commit({"materia.toml": world.config()})
    clone.passes("build:cli")
    (built,) = clone.folder.glob("dist/cli/*.tar.gz")

    said = clone.passes("deploy:r2", **world.variables)

    names = world.s3.names(world.bucket)
    assert hashlib.sha256(built.read_bytes()).hexdigest() in " ".join(names)
    assert [name for name in names if "/channels/" in name]
    assert len([name for name in names if name.endswith(".tar.gz")]) > 1
    world.tells_nothing(said)


def test_a_wrong_token_moves_nothing(clone: Clone, world: World) -> None:
    clone.commit({"materia.toml": world.config()})

    done = clone.job("deploy:r2", **{**world.variables, "PULUMI_ACCESS_TOKEN": "pul-wrong"})

    assert done.returncode != 0
    assert world.s3.names(world.bucket) == []


def test_the_schedule_of_sweeps_destroys_what_is_past_its_deadline(
    clone: Clone, world: World
) -> None:
    clone.commit({"materia.toml": world.config()})
    provider = opened(world.cloud)
    provider.create_instance(request_for(offer_of(provider)))  # whose deadline was in 2026-11
    assert world.cloud.still_billed()

    said = clone.passes("sweep", CI_PIPELINE_SOURCE="schedule", TASK="sweep", **world.variables)

    assert world.cloud.still_billed() == []
    world.tells_nothing(said)


def test_the_schedule_of_checks_fails_until_the_schedule_of_runs_has_run(
    clone: Clone, world: World
) -> None:
    folder = clone.folder / SAMPLE
    assert folder.is_dir()
    pipeline = (
        f'[sources.psdonline]\nbase_url = "{folder}"\nfirst_release = "2018-12"\n'
        'files = ["psd_alldata_csv.zip"]\n'
    )
    clone.commit({"materia.toml": world.config() + pipeline})
    schedule = {"CI_PIPELINE_SOURCE": "schedule", **world.variables}

    assert clone.job("check", TASK="check", **schedule).returncode != 0
    world.tells_nothing(clone.passes("run", TASK="run", **schedule))
    world.tells_nothing(clone.passes("check", TASK="check", **schedule))


@pytest.mark.engine
@pytest.mark.skipif(
    PULUMI is None or importlib.util.find_spec("pulumi") is None,
    reason="the program pulumi is not on PATH, or the group infra is not installed",
)
def test_the_infrastructure_is_made_with_one_token(clone: Clone, tmp_path: Path) -> None:
    behaviour = Behaviour(boot=QUICK, delete=QUICK)
    with Hetzner(clock=Clock(), behaviour=behaviour) as cloud, PulumiCloud() as pulumi:
        tokens = {"hcloud:token": Secret(cloud.token), "cloudflare:apiToken": Secret("planted-c")}
        pulumi.environments["acme/beanflows/accounts"] = {"pulumiConfig": tokens}
        (tmp_path / "engine").mkdir()
        engine = new_engine(tmp_path / "engine", pulumi, endpoint=f"{cloud.url}/v1")
        fill(engine, serverType="cpx22", location="fsn1", catalog="false")
        stack = "infra/Pulumi.prod.yaml"
        settings = (engine.folder / stack).read_text()
        clone.commit({"materia.toml": "", stack: settings})
        place = {
            name: engine.environment[name]
            for name in ("PULUMI_HOME", "PULUMI_SKIP_UPDATE_CHECK", "HCLOUD_ENDPOINT")
        }
        place["STAND_IN_ACCOUNT"] = engine.environment["STAND_IN_ACCOUNT"]
        job = Clone(clone.folder, (engine.folder / "path", *clone.path))

        said = job.passes("deploy:infra", **pulumi.secrets(), **place)

        assert [one.name for one in cloud.servers.values()] == ["materia-supervisor-prod"]
        assert {status for _, status in pulumi.ended} == {"succeeded"}
        for secret in (TOKEN, cloud.token, "planted-c", KEY_LINE):
            assert secret not in said
