"""docs/plugin-api.md, the lists in the code and what plugins import are the same surface."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# SQLMesh, which one of the modules imports, warns its developers.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/plugin-api.md").read_text()
KITS = (
    "materia.kit",
    "materia_http",
    "materia_providers",
    "materia_providers.api",
    "materia_sqlmesh",
    "materia_store",
    "materia_store.bucket",
    "materia_store.folder",
)
# What gives its names by itself, without modules.
FLAT = ("materia", "materia_snapshots")
# The modules that `materia` has its values and errors from.
VALUES = ("materia.compute", "materia.data", "materia.errors")
# What a plugin's own code is read for; a plugin may import the test kit for its emulator alone.
SURFACE = {*FLAT, "materia_http", "materia_providers", "materia_sqlmesh", "materia_store"}
FOLDERS = sorted(
    [
        *(ROOT / "plugins").glob("*/*/src/*"),
        ROOT / "tests/third_party/materia-acme/src/materia_acme",
    ]
)


def modules() -> list[str]:
    """Every module on the surface, by its name."""
    kits = [(kit, importlib.import_module(kit).__all__) for kit in KITS]
    return [*FLAT, *(f"{kit}.{name}" for kit, names in kits for name in names)]


def section(name: str) -> str:
    _, _, after = PAGE.partition(f"# `{name}`\n")
    return re.split(r"^#+ `", after, maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("name", modules())
def test_the_page_has_each_name_of_a_module_and_no_other(name: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \| .+ \|$", section(name), re.MULTILINE)
    module = importlib.import_module(name)

    assert listed == module.__all__
    assert all(getattr(module, one) is not None for one in listed)


def test_the_page_has_each_module_and_no_other() -> None:
    headings = re.findall(r"^##+ `([\w.]+)`$", PAGE, re.MULTILINE)

    assert sorted(headings) == sorted({*modules(), *KITS})


@pytest.mark.parametrize("name", [*VALUES, *KITS, *modules()])
def test_each_list_is_sorted(name: str) -> None:
    names: list[str] = importlib.import_module(name).__all__

    def constants_then_classes_then_functions(one: str) -> tuple[int, str]:
        return (0 if one.isupper() else 1 if one[0].isupper() else 2, one)

    assert names == sorted(names, key=constants_then_classes_then_functions)


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a file imports from materia; no name for a module."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def is_on_the_surface(module: str, name: str) -> bool:
    if module in {*FLAT, *VALUES, *KITS}:
        return name in importlib.import_module(module).__all__
    package, _, last = module.rpartition(".")
    if package not in KITS or last not in importlib.import_module(package).__all__:
        return False
    return name in importlib.import_module(module).__all__


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_a_plugin_imports_nothing_else_of_materia(folder: Path) -> None:
    found = [
        f"{file.relative_to(folder)}: from {module} import {name}"
        for file in sorted(folder.rglob("*.py"))
        for module, name in imports(file)
        if module.partition(".")[0] in SURFACE and not is_on_the_surface(module, name)
    ]

    assert list(folder.rglob("*.py"))
    assert found == []


def test_an_import_of_anything_else_would_be_seen() -> None:
    assert is_on_the_surface("materia_providers.polling", "poll")
    assert is_on_the_surface("materia", "Offer")
    assert not is_on_the_surface("materia", "plugins")
    assert not is_on_the_surface("materia.forms", "SHA256")
    assert not is_on_the_surface("materia_providers.polling", "FIRST_PAUSE")
    assert not is_on_the_surface("materia_store.object_redirects", "redirected_to")
