"""`materia emulator` starts what it says, prints what points at it, and bills at the end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from materia.compute import InstanceRequest, Requirements
from materia_hetzner.emulator.service import Hetzner as Cloud
from materia_hetzner.provider import Hetzner
from materia_hetzner.settings import Settings
from materia_providers.cloud_init import generate_key
from materia_runner.cli.commands.machines.emulator import bill, exports, find_emulators, toml
from materia_testing.emulation.services import find_services, service_class

COMMAND = "from materia_runner.cli.main import main; main()"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "emulator", "--no-machines", "--speed", "50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    yield process
    process.kill()
    process.communicate()


def printed(process: subprocess.Popen[str]) -> dict[str, str]:
    """What a shell would know after it was given the lines of the emulator."""
    assert process.stdout is not None
    text = ""
    while "SCW_SECRET_KEY" not in text:
        line = process.stdout.readline()
        assert line, process.communicate()
        text += line
    words = shlex.split(text, comments=True)
    return dict(word.split("=", 1) for word in words if word != "export")


def test_what_it_prints_is_enough_to_rent_a_machine(running: subprocess.Popen[str]) -> None:
    environment = printed(running)
    written = Path(environment["MATERIA_PROVIDER_SETTINGS"])
    settings = tomllib.loads(written.read_text())["providers"]
    provider = Hetzner(
        environment["HCLOUD_TOKEN"],
        Settings(api_url=settings["hetzner"]["api_url"]),
        settle=timedelta(seconds=1),
    )
    offer = next(one for one in provider.offers(Requirements()) if one.availability == "available")
    request = InstanceRequest(
        name="materia-r1-extract",
        run="r1",
        stage="extract",
        offer=offer,
        expires_at=offer.price_as_of + timedelta(hours=1),
        public_key=generate_key().public,
    )

    made = provider.create_instance(request)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=20)

    assert set(settings) == set(find_emulators())
    assert f"instance {made.id}" in told
    assert "ovh: nothing charged, nothing left" in told
    assert running.returncode == 0
    assert not written.exists()


def test_a_name_that_is_no_service_is_an_error_that_lists_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "emulator", "--provider", "aws"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=30,
    )

    assert done.returncode == 2
    assert "no emulator for 'aws'; installed: hetzner, oracle, ovh, scaleway" in done.stderr


def test_there_is_a_service_of_each_name() -> None:
    assert sorted(find_services()) == ["hetzner", "oracle", "ovh", "scaleway"]
    for name in find_services():
        assert service_class(name).provider == name


def test_settings_are_written_as_toml() -> None:
    text = toml({"a": {"x": 'say "hi" \\ ü', "n": 3, "regions": ("r1", "r2")}, "b": {}})

    assert tomllib.loads(text) == {
        "providers": {"a": {"x": 'say "hi" \\ ü', "n": 3, "regions": ["r1", "r2"]}, "b": {}}
    }


def test_secrets_are_quoted_for_a_shell(tmp_path: Path) -> None:
    with Cloud() as cloud:
        cloud.token = "it's; rm -rf $HOME\nsecond line"  # noqa: S105 -- none
        text = exports([cloud], tmp_path / "providers.toml", state=tmp_path / "state")

    script = f'{text}\nprintf %s "$HCLOUD_TOKEN"'
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={}
    )

    assert done.stdout == cloud.token


def test_the_bill_names_what_was_left() -> None:
    with Cloud() as cloud:
        cloud.add_volume(None)

        (line,) = bill([cloud]).splitlines()

    assert line.startswith("hetzner: 0.0008 EUR charged, volume ")
    assert line.endswith(" left")


def test_the_pipeline_its_result_and_the_ledger_of_the_user_stay_as_they_are(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    environment = printed(running)
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    # Without the models of materia-transform: nothing here depends on them.
    hidden = tmp_path / "site/materia_transform-0.dist-info"
    hidden.mkdir(parents=True)
    (hidden / "METADATA").write_text("Metadata-Version: 2.1\nName: materia-transform\n")
    (work / "materia.toml").write_text(
        '[sinks.duckdb]\npath = "mine.duckdb"\n[budget]\nmonthly = "0.30"\n'
        '[providers.hetzner]\nregions = ["hel1"]\n'
    )
    shell = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(hidden.parent),
    }

    def materia(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *words],
            cwd=work,
            env={**shell, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    prices = materia("providers", "price", "--provider", "hetzner", "--all", **environment)
    run = materia("run", "--sample", "--json", **environment)
    runs = materia("runs", **environment)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)
    after = materia("runs")
    ended = materia("sources", **environment)

    assert prices.returncode == 0, prices.stderr
    assert run.returncode == 0, run.stderr
    assert "ok" in runs.stdout
    assert (work / "mine.duckdb").exists()
    assert after.stdout.startswith("no runs yet")
    assert ended.returncode == 2
    assert "unset MATERIA_PROVIDER_SETTINGS and MATERIA_STATE_DIR" in ended.stderr


MOON = """
from materia_hetzner.emulator.service import Hetzner

class Moon(Hetzner):
    provider = "moon"

    def secrets(self):
        return {"MOON_TOKEN": "m"}
"""


def install(folder: Path, name: str, value: str, module: str = "") -> dict[str, str]:
    """An environment in which a distribution of others has that emulator."""
    meta = folder / f"{name}_cloud-1.0.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-cloud\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text(f"[materia.emulators]\n{name} = {value}\n")
    (folder / f"{name}_cloud.py").write_text(module)
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"}


def emulator(*words: str, env: dict[str, str], before: str = "") -> tuple[int, str]:
    """Exit code and all that was said, of a `materia emulator` that is ended when it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *([before] if before else []), "emulator", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline()
    if first.startswith("# ."):
        process.send_signal(signal.SIGINT)
    said = first + process.stdout.read() + process.stderr.read()
    process.communicate(timeout=60)
    return process.returncode, said


def test_the_emulator_of_a_plugin_of_others_is_started_and_named_by_help_and_completion(
    tmp_path: Path,
) -> None:
    env = install(tmp_path, "moon", "moon_cloud:Moon", MOON)
    shell = {"_MATERIA_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
    completing = {**env, **shell, "COMP_WORDS": "materia emulator --provider mo"}

    _, helped = emulator("--help", env=env)
    _, completed = emulator(env=completing)
    code, started = emulator("--provider", "moon", "--no-machines", env=env)

    assert "Installed emulators: hetzner, moon, oracle, ovh, scaleway." in helped
    assert completed.split() == ["moon"]
    assert code == 0, started
    assert "export MOON_TOKEN=m" in started
    assert "moon: nothing charged, nothing left" in started


def test_an_emulator_that_cannot_be_loaded_stops_no_other(tmp_path: Path) -> None:
    env = install(tmp_path, "moon", "moon_cloud:Moon", "1 / 0\n")

    code, said = emulator("--no-machines", env=env)
    named, told = emulator("--provider", "moon", "--no-machines", env=env)

    assert code == 0, said
    assert "warning: cannot load the emulator 'moon' of moon-cloud: ZeroDivisionError" in said
    assert "hetzner: nothing charged" in said
    assert named == 2
    assert "cannot load the emulator 'moon' of moon-cloud" in told


def test_an_entry_point_that_is_no_emulator_of_its_provider_is_an_error(tmp_path: Path) -> None:
    other = install(tmp_path / "a", "moon", "materia_hetzner.emulator.service:Hetzner")
    nothing = install(tmp_path / "b", "moon", "os:path")

    assert "'moon' belongs to the provider 'hetzner'" in emulator("--provider=moon", env=other)[1]
    assert "'moon' is not a subclass of" in emulator("--provider=moon", env=nothing)[1]


def test_without_plugins_of_others_their_emulator_is_left_out(tmp_path: Path) -> None:
    env = install(tmp_path, "moon", "moon_cloud:Moon", MOON)

    code, said = emulator("--provider", "moon", env=env, before="--no-plugins")

    assert code == 2
    assert "no emulator for 'moon'; installed: hetzner, oracle, ovh, scaleway" in said
