"""The README of the source does what it says: its settings are opened, its commands are run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from fakes.workshop import Workshop
from materia.hookspecs import Opening
from materia_psdonline import materia_sources
from materia_psdonline.releases import RECHECKED_RELEASES, SETTLED_FOR
from materia_psdonline.settings import KNOWN_FILES
from materia_psdonline.source import PsdOnline
from materia_runner.bundled import load_registry
from materia_runner.config.parse import parse_config

README = (Path(__file__).resolve().parents[2] / "plugins/sources/psdonline/README.md").read_text()
[PLUGIN] = materia_sources()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def run(workshop: Workshop, block: str) -> list[str]:
    """Run the commands of a block one after the other; what each wrote on both outputs."""
    outputs = []
    for line in block.splitlines():
        assert line.startswith("$ ")
        name, *arguments = shlex.split(line[2:])
        command = {
            "materia": ["-m", "materia_runner", *arguments],
            "python": arguments,
            "extract_psd": ["-m", "materia_psdonline.extract_psd", *arguments],
        }[name]
        outputs.append(workshop_run(workshop, command))
    return outputs


def workshop_run(workshop: Workshop, arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=workshop.directory,
        env=workshop.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_first_settings_are_the_defaults() -> None:
    told = tomllib.loads(blocks("toml")[0])["sources"]["psdonline"]
    defaults = {setting.name: setting.default for setting in PLUGIN.settings}

    assert told == {**defaults, "files": list(defaults["files"])}  # type: ignore[arg-type]


@pytest.mark.parametrize("block", blocks("toml"))
def test_all_settings_can_be_used(block: str, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    pipeline = parse_config(
        tomllib.loads(block), load_registry(bundled_only=True), name="README", directory=tmp_path
    )
    settings = pipeline.settings["source", "psdonline"]

    opened = PLUGIN.open(Opening(secrets={}, settings=settings, directory=tmp_path))
    assert isinstance(opened, PsdOnline)


def test_every_setting_and_every_file_is_told_of() -> None:
    for name in (*(setting.name for setting in PLUGIN.settings), *KNOWN_FILES):
        assert f"`{name}`" in README


def test_the_times_are_those_of_the_program() -> None:
    assert RECHECKED_RELEASES == 12
    assert "The newest twelve releases" in README
    assert f"once in {SETTLED_FOR.days} days" in README


def test_the_sample_is_fetched(workshop: Workshop) -> None:
    run(workshop, blocks("console")[0])

    assert len(list((workshop.directory / "raw").rglob("*.zip"))) == 3


def test_a_mirror_is_fetched_and_its_rebuilt_month_noticed(workshop: Workshop) -> None:
    workshop.write("materia.toml", blocks("toml")[2])
    run(workshop, blocks("console")[1])
    paths = [path.as_posix() for path in (workshop.directory / "raw").rglob("*.zip")]
    kept = sorted(re.findall(r"/(\d{4}-\d\d)\b", path)[-1] for path in paths)

    assert kept == ["2018-12", "2018-12", "2019-02", "2019-05"]


def test_the_old_name_says_what_it_is(workshop: Workshop) -> None:
    [said] = run(workshop, blocks("console")[2])

    assert "The same as `materia pipeline run extract`" in said


def test_the_old_name_runs_the_stage(workshop: Workshop) -> None:
    run(workshop, "$ extract_psd --sample --quiet\n")

    assert len(list((workshop.directory / "raw").rglob("*.zip"))) == 3


def test_declaring_the_source_imports_neither_httpx_nor_duckdb(workshop: Workshop) -> None:
    code = (
        "import sys, materia_psdonline as p; p.materia_sources(); "
        "print(sorted({'httpx', 'duckdb', 'sqlmesh', 'zipfile'} & set(sys.modules)))"
    )

    assert workshop_run(workshop, ["-c", code]) == "[]\n"


def test_reading_a_folder_imports_no_httpx(workshop: Workshop) -> None:
    code = (
        "import sys, pathlib, materia, materia_psdonline as p; [one] = p.materia_sources(); "
        "one.open(materia.Opening(secrets={}, settings=one.sample, directory=pathlib.Path())); "
        "print('httpx' in sys.modules)"
    )

    assert workshop_run(workshop, ["-c", code]) == "False\n"
