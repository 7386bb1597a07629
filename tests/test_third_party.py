"""A package that is not of this workspace, built, installed and used as a stranger would."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
ACME = ROOT / "tests/third_party/materia-acme"
KITS = ("http", "providers", "sqlmesh", "store")
BUILT = (
    ROOT / "core",
    ROOT / "runner",
    ROOT / "testing",
    ROOT / "plugins/providers/local",
    ACME,
    *(ROOT / "kits" / kit for kit in KITS),
)
MONTHS = ("2026-01", "2026-02", "2026-03")
# Runs the pipeline twice against Acme's server, which is told apart by its port.
RUN = """
import json, subprocess, sys
from pathlib import Path
sys.path.insert(0, "tests")
from acme_server import acme_server

def run():
    done = subprocess.run([sys.argv[1], "run", "--json"], check=True, stdout=subprocess.PIPE)
    return {stage["stage"]: stage["result"] for stage in json.loads(done.stdout)["stages"]}

with acme_server() as world:
    address = json.dumps(world.settings["url"])
    Path("materia.toml").write_text(
        f'source = "acme"\\nsink = "acme"\\n[sources.acme]\\nurl = {address}\\n'
    )
    for key in world.keys:
        world.publish(key, 1)
    print(json.dumps([run(), run()]))
"""


class Stranger:
    """A folder with a fresh environment in it, and the package's own tests."""

    def __init__(self, folder: Path, uv: str) -> None:
        self._folder = folder
        self._uv = uv
        # What belongs to the environment of these tests stays out of the new one.
        dropped = {"VIRTUAL_ENV", "PYTHONPATH", "PYTEST_ADDOPTS"}
        self._environment = {
            name: value for name, value in os.environ.items() if name not in dropped
        }

    def program(self, name: str) -> str:
        return str(self._folder / "venv/bin" / name)

    def uv(self, *arguments: str) -> None:
        self.run(self._uv, "--quiet", "--no-config", *arguments)

    def run(self, *arguments: str, expected: int = 0) -> str:
        result = subprocess.run(
            arguments,
            check=False,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert result.returncode == expected, f"{arguments}\n{result.stdout}\n{result.stderr}"
        return result.stdout


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """An environment with the wheels of core, `local` and materia-acme, and no more of ours."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv builds the wheels and makes the environment, and it is not installed")
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(ACME / "tests", folder / "tests")
    here = Stranger(folder, uv)
    for project in BUILT:
        here.uv("build", "--wheel", "--out-dir", str(folder / "wheels"), str(project))
    here.uv("venv", "--python", sys.executable, str(folder / "venv"))
    (runner,) = folder.glob("wheels/materia_runner-*.whl")
    wheels = sorted(folder.glob("wheels/*.whl"))
    here.uv(
        "pip",
        "install",
        "--python",
        here.program("python"),
        f"materia-runner[ssh,transform] @ {runner.as_uri()}",
        *(str(wheel) for wheel in wheels if wheel != runner),
    )
    return here


def test_its_plugins_are_found_beside_ours(stranger: Stranger) -> None:
    plugins = json.loads(stranger.run(stranger.program("materia"), "plugins", "--json"))
    found = {(one["kind"], one["name"], one["distribution"], one["status"]) for one in plugins}

    assert found == {
        ("provider", "acme", "materia-acme", "ok"),
        ("provider", "local", "materia-local", "ok"),
        ("sink", "acme", "materia-acme", "ok"),
        ("source", "acme", "materia-acme", "ok"),
    }


def test_without_plugins_of_others_it_is_left_out(stranger: Stranger) -> None:
    plugins = stranger.run(stranger.program("materia"), "--no-plugins", "plugins", "--json")

    assert {one["distribution"] for one in json.loads(plugins)} == {"materia-local"}


def test_it_keeps_the_promises_of_the_contract_suites(stranger: Stranger) -> None:
    report = stranger.run(stranger.program("pytest"), "-q", "-p", "no:cacheprovider", "tests")

    assert " passed" in report
    assert "failed" not in report


def test_its_own_models_are_built_and_published_and_a_second_run_does_nothing(
    stranger: Stranger,
) -> None:
    output = stranger.run(stranger.program("python"), "-c", RUN, stranger.program("materia"))
    built, unchanged = json.loads(output)
    rows = {table["name"]: table["rows"] for table in built["transform"]["tables"]}

    assert built["extract"]["fetched"] == len(MONTHS)
    assert rows["staging.stg_acme__price"] == 2 * len(MONTHS)
    assert unchanged["extract"]["asked"] == 2, "the newest two months are asked for again"
    assert unchanged["extract"]["fetched"] == 0
    assert unchanged["transform"]["published"] is False
