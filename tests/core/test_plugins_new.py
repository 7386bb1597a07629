"""`materia plugins new` writes a package that is right as it is."""

from __future__ import annotations

import json
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import get_args

import pytest
from fakes.stranger import find_uv
from fakes.workshop import Workshop
from materia.plugins import Kind
from materia_runner.authoring.new_package import package_of, rendered

ACME = Path(__file__).resolve().parents[1] / "third_party/materia-acme"
# materia-acme, which the guide quotes, is what the templates write: its contracts run whole in
# test_third_party.py.
SAME = (
    ("sink", "src/materia_acme/sink.py", "src/materia_acme/sink.py"),
    ("sink", "tests/test_sink.py", "tests/test_acme_sink.py"),
    ("provider", "src/materia_acme/provider.py", "src/materia_acme/provider.py"),
    ("provider", "src/materia_acme/emulator.py", "src/materia_acme/emulator.py"),
    ("provider", "tests/test_machines.py", "tests/test_acme_machines.py"),
)
KINDS = get_args(Kind)


def lines_of(files: dict[str, str], *parts: str) -> int:
    return sum(text.count("\n") for path, text in files.items() if path.startswith(parts))


@pytest.mark.parametrize(("kind", "written", "quoted"), SAME)
def test_a_new_package_is_the_one_that_the_guide_quotes(
    kind: Kind, written: str, quoted: str
) -> None:
    assert rendered(kind, "acme")[written] == (ACME / quoted).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_template_is_left_in_a_new_package(kind: Kind) -> None:
    files = rendered(kind, "two_words")
    document = tomllib.loads(files["pyproject.toml"])

    assert document["project"]["name"] == "materia-two-words"
    assert document["project"]["entry-points"]["materia"] == {"two_words": "materia_two_words"}
    assert all("${" not in text and "acme" not in text.lower() for text in files.values())
    for path, text in files.items():
        if path.endswith(".py"):
            compile(text, path, "exec")


def test_a_whole_source_has_at_most_60_lines_a_sink_120_and_a_provider_180() -> None:
    source, sink, provider = (
        dict(rendered(kind, "acme")) for kind in ("source", "sink", "provider")
    )
    code = {path: text for path, text in source.items() if path.endswith(".py")}

    assert lines_of(code, "src", "tests") <= 60
    assert lines_of(sink, "src", "tests") <= 120
    assert lines_of(provider, "src/materia_acme/__init__.py", "src/materia_acme/provider.py") <= 180


@pytest.mark.parametrize("kind", KINDS)
def test_a_wheel_is_built_of_it_without_network(
    workshop: Workshop, tmp_path: Path, kind: Kind
) -> None:
    made = workshop.run("plugins", "new", kind, "moon")
    built = subprocess.run(
        [find_uv(), "build", "--offline", "--wheel", "--out-dir", str(tmp_path / "dist")],
        check=False,
        capture_output=True,
        text=True,
        cwd=workshop.directory / "materia-moon",
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    packed = zipfile.ZipFile(wheel).namelist()

    assert made.returncode == 0
    assert "  cd materia-moon\n" in made.stdout
    assert "materia plugins check ." in made.stdout
    code = "sample/2026-01.csv" if kind == "source" else f"{kind}.py"
    assert {f"materia_moon/{name}" for name in ("__init__.py", code, "py.typed")} <= {*packed}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sink", "../up"), "'../up' cannot be the name of a sink"),
        (("sink", "class"), "'class' cannot be the name of a sink"),
        (("sink", "Großes"), "cannot be the name of a sink"),
        (("sink", "a" * 41), "cannot be the name of a sink"),
        (("sink", "duckdb"), "the sink 'duckdb' is installed already, from materia-duckdb"),
        (("source", "duckdb"), f"the Python package {package_of('duckdb')} is installed already"),
        (("provider", "store"), "the Python package materia_store is installed already"),
        (("model", "mine"), "a plugin is a source, a sink or a provider, not 'model'"),
        (("sink", "mine", "--folder", "full"), "full exists already and was not changed"),
    ],
)
def test_a_name_or_a_folder_that_would_do_harm_is_refused(
    workshop: Workshop, words: tuple[str, ...], said: str
) -> None:
    kept = workshop.write("full/mine.txt", "mine")
    ended = workshop.run("plugins", "new", *words)

    assert ended.returncode == 2
    assert said in ended.stderr
    assert [path.name for path in workshop.directory.iterdir()] == ["full"]
    assert kept.read_text() == "mine"
    assert list((workshop.directory / "full").iterdir()) == [kept]


def test_a_new_source_runs_without_network_on_its_sample(workshop: Workshop) -> None:
    workshop.run("plugins", "new", "source", "moon")
    workshop.install("moon", "materia_moon")
    workshop.write("materia.toml", 'source = "moon"\nsink = "duckdb"\n')
    code = workshop.directory / "materia-moon/src"
    paths = f"{workshop.environment()['PYTHONPATH']}:{code}"
    ended = workshop.run("run", "--sample", "--json", environment={"PYTHONPATH": paths})

    assert ended.returncode == 0, ended.stderr
    (extract, transform) = json.loads(ended.stdout)["stages"]
    assert extract["result"]["fetched"] == 2
    assert [one["rows"] for one in transform["result"]["tables"]] == [4]
