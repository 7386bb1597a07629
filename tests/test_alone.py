"""Core and each bundled plugin alone in an environment: its modules import, its contract holds."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fakes.stranger import ROOT, Stranger

pytestmark = pytest.mark.campaign

PLUGINS = {
    path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/*/pyproject.toml"))
}
OTHERS = [ROOT / "core", *sorted(path.parent for path in ROOT.glob("kits/*/pyproject.toml"))]
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
TOOLS = [*GROUPS["dev"], *GROUPS["iceberg"]]
# What the tests of a plugin need beside materia-testing, in the versions of these groups.
S3 = ("flask>", "flask-cors>", "moto[s3]>")
WRITTEN_WITH = {"iceberg": (*S3, "pyiceberg>"), "s3": S3}
LOAD = """
import json
from materia.plugins import load_plugins
registry = load_plugins()
print(json.dumps([[f"{one.kind}s", one.plugin.name] for one in registry.found]))
assert not registry.failures, registry.failures
"""
IMPORT = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    importlib.import_module(one.name)
    print(one.name)
"""
INI = """
[pytest]
addopts = --import-mode=importlib --strict-markers -p no:cacheprovider
pythonpath = tests
filterwarnings = error
markers =
    slow
    campaign
    live
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = Stranger(tmp_path_factory.mktemp("wheels"))
    here.build()
    return here.wheels


@pytest.fixture
def alone(wheels: Path, tmp_path: Path) -> Stranger:
    """An empty environment."""
    here = Stranger(tmp_path, wheels=wheels)
    here.make_environment()
    return here


def declared(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())
    return document


def modules_of(folder: Path) -> set[str]:
    """The modules in the source of a distribution, but the package itself.

    A folder that is no package holds files that something else reads: SQLMesh, those of models.
    """
    root = folder / "src"
    found = {
        path.relative_to(root).with_suffix("") for path in root.rglob("*.py") if in_package(path)
    }
    names = {".".join(path.parts).removesuffix(".__init__") for path in found}
    return {name for name in names if "." in name}


def in_package(path: Path) -> bool:
    return (path.parent / "__init__.py").is_file()


def import_all(alone: Stranger, folder: Path) -> set[str]:
    package = declared(folder)["tool"]["uv"]["build-backend"]["module-name"]
    return set(alone.run(alone.program("python"), "-c", IMPORT, package).split())


def whole(folder: Path) -> str:
    """The distribution with all of its extras."""
    project = declared(folder)["project"]
    extras = ",".join(project.get("optional-dependencies", ()))
    return f"{project['name']}[{extras}]" if extras else str(project["name"])


@pytest.mark.parametrize("folder", OTHERS, ids=lambda folder: folder.name)
def test_core_and_each_kit_import_alone(alone: Stranger, folder: Path) -> None:
    alone.install(whole(folder))

    assert import_all(alone, folder) == modules_of(folder)


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_alone_is_found_imports_and_keeps_its_contract(alone: Stranger, name: str) -> None:
    folder = PLUGINS[name]
    kind = folder.parent.name
    alone.install(declared(folder)["project"]["name"])
    found = json.loads(alone.run(alone.program("python"), "-c", LOAD))
    assert found == [[kind, name]]

    tools = [one for one in TOOLS if one.startswith(WRITTEN_WITH.get(name, ()))]
    alone.install(whole(folder), "materia-testing", *tools)
    assert import_all(alone, folder) == modules_of(folder)

    tests = alone.folder / "tests"
    shutil.copytree(ROOT / "tests/fakes", tests / "fakes")
    (tests / kind).mkdir()
    for file in ("conftest.py", f"test_{name}_contract.py"):
        shutil.copy(ROOT / "tests" / kind / file, tests / kind / file)
    (alone.folder / "pytest.ini").write_text(INI)
    report = alone.run(alone.program("pytest"), "-q", "-m", "not campaign and not live", "tests")
    assert " passed" in report
