"""The artifact of the default pipeline, as `materia artifact` makes it, and a stage run from it."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import pytest
from fakes.rented import with_packages
from fakes.s3 import KEY, SECRET, S3Server
from fakes.workshop import Workshop
from materia_runner.artifact.find import Artifact, Target, find_or_build
from materia_runner.bundled import load_registry
from materia_runner.config.parse import parse_config
from materia_runner.config.pipeline import Bucket
from materia_runner.messages import stage_request as worker_request
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.worker.sqlmesh.fingerprint import RECORDED_BUILD

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "transform/sqlmesh_materia"
HERE = Target.of(
    f"3.{sys.version_info.minor}", "arm64" if platform.machine() == "aarch64" else "x86_64"
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of the tests."""
    return tmp_path_factory.getbasetemp().parent / "cache"


@pytest.fixture
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


def artifact(workshop: Workshop, command: str, cache: Path, *options: str, **secrets: str) -> Any:
    target = ("--python", HERE.python, "--arch", HERE.architecture)
    environment = {**with_packages(), "XDG_CACHE_HOME": str(cache), **secrets}
    done = workshop.run(
        *("artifact", command, "--json", *options),
        *(target if command != "list" else ()),
        environment=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_builds_that_share_nothing_are_the_same_bytes(
    workshop: Workshop, cache: Path, tmp_path: Path
) -> None:
    fetching = ("--stage", "extract")
    (built,) = artifact(workshop, "build", cache, *fetching)
    (again,) = artifact(
        workshop, "build", tmp_path / "other", *fetching, "--output", str(tmp_path / "out")
    )

    assert again["sha256"] == built["sha256"]
    assert Path(again["path"]).parent == tmp_path / "out"
    assert Path(again["path"]).read_bytes() == Path(built["path"]).read_bytes()


def test_what_only_fetches_gets_no_sqlmesh_no_duckdb_and_no_sink_that_stays_at_home(
    workshop: Workshop, cache: Path
) -> None:
    (small,) = artifact(workshop, "build", cache, "--stage", "extract")
    listed = artifact(workshop, "list", cache)["artifacts"]

    with tarfile.open(fileobj=gzip.open(small["path"]), mode="r|") as tar:
        inside = {entry.name.split("/")[1] for entry in tar if "/" in entry.name}
    assert inside >= {"materia", "materia_psdonline", "pluggy", "httpx"}
    assert inside.isdisjoint({"sqlmesh", "duckdb", "typer", "materia_duckdb", "cryptography"})
    assert small["size"] < 1_100_000
    (row,) = [one for one in listed if one["sha256"] == small["sha256"]]
    assert (small["stages"], row["stages"]) == (["extract"], ["extract"])


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with what the artifact has: what one test compiled there is ready for another."""
    workshop = Workshop(tmp_path_factory.mktemp("workshop"))
    workshop.write("materia.toml", f"[transform]\nproject = {json.dumps(str(PROJECT))}\n")
    (built,) = artifact(workshop, "build", cache)
    machine = tmp_path_factory.mktemp("machine")
    subprocess.run(["/bin/tar", "--extract", "--file", built["path"]], cwd=machine, check=True)
    assert not list(machine.rglob("*.pyc"))
    for folder in ("data", "scratch"):
        (machine / folder).mkdir()
    return machine


def test_a_stage_runs_from_it_with_nothing_else_than_python(machine: Path) -> None:
    manifest = json.loads((machine / "manifest.json").read_text())
    assert manifest["own"].keys() == {
        "materia-core",
        "materia-duckdb",
        "materia-http",
        "materia-psdonline",
        "materia-runner",
        "materia-sqlmesh",
        "materia-store",
    }
    assert not _of_others_here(machine / "lib")
    assert {"ipywidgets", "materia-providers", "typer"} <= set(manifest["left_out"])
    assert _that_name(machine, str(ROOT), str(Path.home()), sys.prefix) == []

    extracted = _run(machine, "extract")
    transformed = _run(machine, "transform")

    assert (extracted["fetched"], extracted["problems"]) == (3, [])
    assert "as shipped" in transformed["tests_skipped"]
    assert "serving.obt_commodity_metrics" in {one["name"] for one in transformed["tables"]}


@pytest.mark.campaign  # test_rented_run.py builds with SQLMesh on a machine
def test_a_stage_runs_from_it_with_sqlmesh_where_no_recorded_build_fits(
    machine: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(machine, tmp_path / "machine", symlinks=True)
    (other / "project" / RECORDED_BUILD).unlink()
    shutil.rmtree(other / "data")
    (other / "data").mkdir()

    _run(other, "extract")
    transformed = _run(other, "transform")

    assert transformed["tests"] > 0
    assert "serving.obt_commodity_metrics" in {one["name"] for one in transformed["tables"]}


def test_every_module_of_ours_that_is_sent_can_be_imported_there(machine: Path) -> None:
    lib = machine / "lib"
    names = [
        ".".join(path.relative_to(lib).with_suffix("").parts).removesuffix(".__init__")
        for room in ("materia", "materia_runner")
        for path in sorted((lib / room).rglob("*.py"))
    ]
    lines = "\n".join(f"import {name}" for name in names)

    subprocess.run(
        [sys._base_executable, "-S", "-P", "-c", lines],  # type: ignore[attr-defined]  # as below
        cwd=machine,
        env={"PYTHONPATH": str(lib)},
        check=True,
    )

    assert len(names) > 40


def test_it_is_pushed_once_and_listed(workshop: Workshop, cache: Path, server: S3Server) -> None:
    bucket = server.new_bucket()
    workshop.write(
        "materia.toml",
        f'[artifacts]\nbucket = "s3://{bucket}/m"\nendpoint = "{server.endpoint}"\n',
    )
    secrets = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    fetching = ("--stage", "extract")
    (first,) = artifact(workshop, "push", cache, *fetching, **secrets)
    (second,) = artifact(workshop, "push", cache, *fetching, **secrets)
    listed = artifact(workshop, "list", cache, **secrets)["artifacts"]

    assert (first["new"], second["new"]) == (True, False)
    assert server.names(bucket) == [f"m/sha256/{first['sha256']}.tar.gz"]
    (row,) = [one for one in listed if one["pushed_at"]]
    assert (row["sha256"], row["path"]) == (first["sha256"], first["path"])
    assert (row["python"], row["source"], row["sink"]) == (HERE.python, "psdonline", "duckdb")


def test_a_run_gets_an_address_or_is_told_why_there_is_none(
    tmp_path: Path, cache: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    registry = load_registry(bundled_only=True)
    pipeline = parse_config({}, registry, name="materia.toml", directory=tmp_path)
    said: list[str] = []

    def find(endpoint: str) -> Artifact:
        bucket = Bucket(url=f"s3://{server.new_bucket()}/m", endpoint=endpoint)
        return find_or_build(
            python=HERE.python,
            architecture=HERE.architecture,
            registry=registry,
            pipeline=replace(pipeline, artifacts=bucket),
            say=said.append,
            stages=["extract"],
            environment={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
        )

    there, out_of_reach = find(server.endpoint), find("http://127.0.0.1:1")

    with urlopen(there.url or "") as answer:  # noqa: S310 -- of the fake
        assert hashlib.sha256(answer.read()).hexdigest() == there.sha256
    assert out_of_reach == replace(there, url=None)
    assert "materia copies the artifact to each worker instead" in said[-1]


def test_without_a_bucket_nothing_is_pushed(workshop: Workshop) -> None:
    done = workshop.run("artifact", "push")

    assert done.returncode == 2
    assert 'no artifact bucket is set; add [artifacts] bucket = "s3://bucket/prefix"' in done.stderr


def test_where_none_was_made_the_list_says_how(workshop: Workshop) -> None:
    done = workshop.run("artifact", "list")

    assert (done.returncode, done.stdout) == (
        0,
        "no artifacts; build one with `materia artifact build`\n",
    )


def _run(machine: Path, stage: str) -> Mapping[str, Any]:
    """Run a stage of the sample there, without any package of this environment."""
    sample = {
        "base_url": str(machine / "lib/materia_psdonline/sample"),
        "first_release": "2018-12",
        "files": ("psd_alldata_csv.zip",),
    }
    request = WorkerRequest(
        run="r1",
        stage=stage,
        pipeline="psdonline",
        sources=("psdonline",),
        sink="duckdb",
        settings={
            "source": {"psdonline": sample},
            "sink": {"duckdb": {"path": "materia.duckdb", "raw": "raw"}},
        },
        secrets={"source": {"psdonline": {}}, "sink": {"duckdb": {}}},
        directory=machine / "data",
        workspace=machine / "scratch",
        project=machine / "project",
        sample=True,
    )
    # -S: without the packages of the interpreter itself.
    with subprocess.Popen(
        [sys._base_executable, "-S", "-P", "-m", "materia_runner.worker.stage_process"],  # type: ignore[attr-defined]  # the Python that the environment was made from
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=machine / "scratch",
        env={"PYTHONPATH": str(machine / "lib")},
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(worker_request.encode(request) + "\n")
        process.stdin.flush()
        last = json.loads(process.stdout.readlines()[-1])
        said = process.stderr.read()
    assert last["event"] == "result", f"{last}\n{said}"
    return cast("Mapping[str, Any]", last["values"])


def _of_others_here(lib: Path) -> set[str]:
    """The modules in an artifact that only the command line, a test or a rental would import."""
    rooms = {path.parent.name for path in lib.glob("materia_runner/*/__init__.py")}
    emulators = {path.name for path in lib.rglob("emulator*")}
    kits = {path.name for path in lib.iterdir()} & {
        "materia_testing",
        "materia_providers",
        "pytest",
    }
    return (rooms - {"messages", "secrets", "ssh", "worker"}) | emulators | kits


def _that_name(machine: Path, *places: str) -> list[str]:
    """Files, other than compiled ones, that name a place of this machine."""
    found = [path for path in sorted(machine.rglob("*")) if path.is_file()]
    words = [place.encode() for place in places if len(place) > len("/root")]
    return [
        str(path)
        for path in found
        if path.suffix != ".so" and any(word in path.read_bytes() for word in words)
    ]
