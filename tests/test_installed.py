"""The wheels of the workspace, installed outside of the clone as a user would."""

from __future__ import annotations

import email
import json
import re
import shlex
import tomllib
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fakes.made_once import made_once
from fakes.stranger import ROOT, Stranger
from fakes.workshop import Workshop

pytestmark = pytest.mark.slow

WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECTS = [
    file.parent
    for members in WORKSPACE["tool"]["uv"]["workspace"]["members"]
    for file in sorted(ROOT.glob(f"{members}/pyproject.toml"))
]
PYTHONS = ("3.11", "3.12", "3.13")
MODELS = (
    ROOT / "transform/sqlmesh_materia/models",
    ROOT / "plugins/sources/psdonline/src/materia_psdonline/models/models",
)


def declared(folder: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All wheels of the workspace."""
    return made_once(tmp_path_factory, "wheels", lambda folder: Stranger(folder).build()) / "wheels"


@pytest.fixture(scope="module")
def user(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """An environment with the usual set, by its one name."""

    def make(folder: Path) -> None:
        here = Stranger(folder, wheels=wheels)
        here.make_environment()
        here.install("materia-pipelines")

    return Stranger(made_once(tmp_path_factory, "user", make), wheels=wheels)


@pytest.fixture(scope="module")
def tool(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """The usual set as a tool of uv, with a plugin of others beside it."""
    here = Stranger(tmp_path_factory.mktemp("tool"), wheels=wheels)
    here.build(ROOT / "tests/third_party/materia-acme")
    here.environment |= {
        "UV_TOOL_DIR": str(here.folder / "tools"),
        "UV_TOOL_BIN_DIR": str(here.folder / "bin"),
    }
    here.fetching("tool", "install", "materia-pipelines", "--with", "materia-acme")
    return here


def of_wheel(wheels: Path, name: str) -> tuple[Message, list[str]]:
    (wheel,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (one for one in names if one.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(metadata)), names


def installed_files(user: Stranger) -> set[str]:
    folder = user.folder / "venv"
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def rows(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Of every published table; what the loader notes beside them has the time of the load."""
    with duckdb.connect(str(database), read_only=True) as connection:
        names = connection.execute("select name from publication.tables").fetchall()
        return {
            name: connection.execute(f"from {name} order by all").fetchall() for (name,) in names
        }


def test_a_run_of_the_sample_builds_every_model_of_a_clone(user: Stranger) -> None:
    before = installed_files(user)
    done = json.loads(user.run(user.program("materia"), "run", "--sample", "--json"))

    tables = {table["name"] for table in done["stages"][1]["result"]["tables"]}
    models = {f"{path.parent.name}.{path.stem}" for one in MODELS for path in one.rglob("*.sql")}
    assert tables == models
    assert {name.partition(".")[0] for name in tables} == {"raw", "staging", "cleaned", "serving"}
    assert done["stages"][1]["result"]["warnings"] == []
    assert installed_files(user) == before, "nothing is written where packages are installed"


@pytest.mark.campaign
def test_a_tool_of_uv_publishes_the_very_rows_of_a_clone(
    tool: Stranger, workshop: Workshop
) -> None:
    workshop.write("materia.toml", f'[transform]\nproject = "{ROOT}/transform/sqlmesh_materia"\n')
    clone = workshop.run("run", "--sample")
    tool.run(str(tool.folder / "bin/materia"), "run", "--sample")

    assert clone.returncode == 0, clone.stderr
    of_tool = rows(tool.folder / "materia.duckdb")
    assert len(of_tool) > 20
    assert of_tool == rows(workshop.directory / "materia.duckdb")


@pytest.mark.campaign
def test_an_artifact_has_the_project_and_says_which(user: Stranger) -> None:
    build = (user.program("materia"), "artifact", "build", "--json")
    (built,) = json.loads(user.run("env", f"UV_FIND_LINKS={user.wheels}", *build))
    user.run("tar", "--extract", "--file", built["path"])

    manifest = json.loads((user.folder / "manifest.json").read_text())
    assert manifest["project"] == "materia-transform 0.1.0"
    assert "project/models/serving/fct_balance.sql" in manifest["files"]


def test_the_command_says_its_version_and_lists_what_is_installed(user: Stranger) -> None:
    plugins = json.loads(user.run(user.program("materia"), "plugins", "--json"))

    assert user.run(user.program("materia"), "--version") == "materia 0.1.0\n"
    assert [(one["kind"], one["name"], one["distribution"], one["status"]) for one in plugins] == [
        ("provider", "local", "materia-local", "ok"),
        ("source", "psdonline", "materia-psdonline", "ok"),
        ("sink", "duckdb", "materia-duckdb", "ok"),
        ("project", "psdonline", "materia-transform", "ok"),
    ]


@pytest.mark.parametrize("name", ["hetzner", "oracle", "ovh", "scaleway"])
def test_a_missing_provider_is_an_extra_that_there_is(user: Stranger, name: str) -> None:
    said = user.refused(user.program("materia"), "plan", "--provider", name)

    assert said.endswith(f"; to add it: `uv pip install 'materia-pipelines[{name}]'`\n")
    assert name in declared(ROOT / "pipelines")["optional-dependencies"]


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("emulator",), 2, "no installed provider has an emulator"),
        (("sweep", "--all-providers"), 2, "no provider that rents machines is installed"),
        (("worker", "create"), 4, "no provider that rents machines is installed"),
    ],
)
def test_without_a_provider_that_rents_the_command_to_install_one_is_named(
    user: Stranger, words: tuple[str, ...], code: int, reason: str
) -> None:
    said = user.refused(user.program("materia"), *words, expected=code)

    install = "`uv pip install 'materia-pipelines[hetzner]'`"
    assert said == f"materia: {reason}; to install one, for example: {install}\n"


def test_with_pip_in_the_environment_it_is_pip(user: Stranger) -> None:
    pip = user.folder / "pip"
    (pip / "pip").mkdir(parents=True)
    (pip / "pip/__init__.py").touch()
    plan = (user.program("materia"), "plan", "--provider", "auto")
    said = user.refused("env", f"PYTHONPATH={pip}", *plan, expected=4)

    assert "for example: `pip install 'materia-pipelines[hetzner]'`; or use" in said


def test_a_plugin_that_nobody_has_is_not_said_to_be_an_extra(user: Stranger) -> None:
    said = user.refused(user.program("materia"), "plan", "--provider", "acme")

    assert said == "materia: unknown provider 'acme'; installed: local\n"


def test_a_tool_of_uv_is_installed_anew_with_what_it_has(tool: Stranger) -> None:
    said = tool.refused(str(tool.folder / "bin/materia"), "plan", "--provider", "hetzner")
    command = said.strip().partition("to add it: ")[2].strip("`")
    assert command == "uv tool install 'materia-pipelines[hetzner]' --with materia-acme"

    tool.fetching(*shlex.split(command)[1:])
    plugins = json.loads(tool.run(str(tool.folder / "bin/materia"), "plugins", "--json"))
    assert {"hetzner", "acme", "psdonline"} <= {one["name"] for one in plugins}


def test_a_copy_of_the_installed_project_can_be_edited(user: Stranger) -> None:
    materia = user.program("materia")
    user.run(materia, "init", "--config", "own/materia.toml", "--project", "own/models")

    assert 'project = "models"' in (user.folder / "own/materia.toml").read_text().splitlines()
    for path in (ROOT / "transform/sqlmesh_materia/models").rglob("*.sql"):
        copy = user.folder / "own/models/models" / path.parent.name / path.name
        assert copy.read_text() == path.read_text()
    said = user.refused(materia, "init", "--config", "b.toml", "--project", "own/models")
    assert "own/models already exists and was not changed" in said


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_wheel_says_what_an_index_shows(wheels: Path, folder: Path) -> None:
    project = declared(folder)
    metadata, names = of_wheel(wheels, project["name"])

    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"] == "The materia authors"
    assert metadata["Requires-Python"] == ">=3.11, <3.15"
    assert metadata["Summary"]
    assert metadata["Keywords"].startswith("materia,")
    said = [one for one in metadata.get_all("Classifier") or () if re.search(r":: 3\.\d", one)]
    assert said == [f"Programming Language :: Python :: {version}" for version in PYTHONS]
    page = metadata.get_payload()
    assert isinstance(page, str)
    assert page.startswith(f"# {project['name']}\n")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert [link for link in links if "://" not in link] == [], "an index cannot follow them"


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_what_a_distribution_needs_is_bounded(folder: Path) -> None:
    project = declared(folder)
    extras = project.get("optional-dependencies", {}).values()
    for needed in [*project.get("dependencies", ()), *(one for extra in extras for one in extra)]:
        if needed.partition("[")[0] == project["name"]:  # another extra of its own
            continue
        assert re.search(r">=[\d.]+,<\d", needed), needed


def test_a_clone_has_the_extras_of_the_usual_set() -> None:
    usual = declared(ROOT / "pipelines")["optional-dependencies"]
    plugins = {path.parent.name for path in ROOT.glob("plugins/*/*/pyproject.toml")}
    always = {"local", "duckdb", "psdonline"}

    assert usual.keys() == WORKSPACE["project"]["optional-dependencies"].keys()
    assert plugins - always <= usual.keys()
    for name, needs in WORKSPACE["project"]["optional-dependencies"].items():
        assert needs == [f"materia-pipelines[{name}]"]


def test_what_tools_leave_in_the_project_is_not_packed(
    wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = Stranger(tmp_path_factory.mktemp("dirty"))
    copy = here.folder / "transform"
    here.run("cp", "-rL", str(ROOT / "transform"), str(copy))
    for left in (".cache/a.sql", "logs/a.log", "dev.duckdb", "__pycache__/config.cpython-311.pyc"):
        file = copy / "sqlmesh_materia" / left
        file.parent.mkdir(exist_ok=True)
        file.touch()
    here.build(copy)

    dirty, clean = (of_wheel(one, "materia-transform")[1] for one in (here.wheels, wheels))
    assert [name for name in dirty if not name.endswith("/")] == [
        name for name in clean if not name.endswith("/")
    ]


def test_the_suite_keeps_out_of_the_clone(user: Stranger) -> None:
    modules = user.run(user.program("python"), "-c", "import materia; print(materia.__file__)")

    assert not Path(modules.strip()).is_relative_to(ROOT)
