"""A package that is not of this workspace, built, installed and used as a stranger would."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.made_once import made_once
from fakes.stranger import ROOT, Stranger

pytestmark = pytest.mark.slow

ACME = ROOT / "tests/third_party/materia-acme"
KITS = ("http", "providers", "snapshots", "sqlmesh", "store")
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

# Starts the emulator alone, and compares the prices of Acme's machines with what it prints.
EMULATE = """
import json, os, re, shlex, signal, subprocess, sys

command = [sys.argv[1], "emulator", "--no-machines"]
pipe = subprocess.PIPE
cloud = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
lines = [cloud.stdout.readline() for _ in range(5)]
words = shlex.split("".join(lines), comments=True)
variables = dict(word.split("=", 1) for word in words if word != "export")
asked = [sys.argv[1], "providers", "price", "--provider", "acme", "--all", "--json"]
done = subprocess.run(asked, env={**os.environ, **variables}, check=True, stdout=pipe, text=True)
cloud.send_signal(signal.SIGINT)
said = cloud.stderr.read().strip().splitlines()[-1]
types = sorted(set(re.findall('"instance_type": "(.*?)"', done.stdout)))
print(json.dumps({"types": types, "left": said}))
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """An environment with the wheels of core, `local` and materia-acme, and no more of ours."""

    def make(folder: Path) -> None:
        shutil.copytree(ACME / "tests", folder / "tests")
        here = Stranger(folder)
        here.build(*BUILT)
        here.make_environment()
        here.install(
            "materia-runner[ssh,transform]", "materia-testing", "materia-local", "materia-acme"
        )

    return Stranger(made_once(tmp_path_factory, "stranger", make))


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


def test_its_emulated_cloud_is_found_and_started_beside_ours(stranger: Stranger) -> None:
    told = stranger.run(stranger.program("materia"), "emulator", "--help")
    printed = stranger.run(stranger.program("python"), "-c", EMULATE, stranger.program("materia"))

    assert "Installed emulators: acme." in told
    assert json.loads(printed) == {
        "types": ["large", "small"],
        "left": "acme: nothing charged, nothing left",
    }


@pytest.mark.parametrize(
    "chosen",
    # Ours are killed, and fail, at each request in the normal run.
    ["not killed and not fails", pytest.param("killed or fails", marks=pytest.mark.campaign)],
)
def test_it_keeps_the_promises_of_the_contract_suites(stranger: Stranger, chosen: str) -> None:
    report = stranger.run(
        stranger.program("pytest"), "-q", "-p", "no:cacheprovider", "-k", chosen, "tests"
    )

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
    today = datetime.now(UTC)
    newer = (today.year - 2026) * 12 + today.month - len(MONTHS)
    asked = "the newest two months are asked for again, and those that may have come out since"
    assert unchanged["extract"]["asked"] == 2 + newer, asked
    assert unchanged["extract"]["fetched"] == 0
    assert unchanged["transform"]["published"] is False
