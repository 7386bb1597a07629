"""Rules for the package of a plugin: its metadata, and what its modules import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import Distribution, distributions, packages_distributions
from importlib.util import find_spec
from pathlib import Path

from materia_runner.authoring.facts import GROUP, Facts
from materia_runner.authoring.finding import API, GUIDE, Finding, kept

DECLARE = f"{GUIDE}#declare-it"
CORE = re.compile(r"materia[-_.]core\s*(?:\[[^]]*\])?\s*\(?(?P<bounds>[^;)]*)", re.IGNORECASE)
VALUES = ("materia", "materia.compute", "materia.data", "materia.errors")
RUNNER, TEST_KIT = "materia_runner", "materia_testing"
# What an emulated cloud is called: the one module of a plugin that may use the test kit.
EMULATOR = "emulator"


def metadata(facts: Facts) -> Iterator[Finding]:
    """The promises about the metadata."""

    def finding(promise: str, *faults: str) -> Finding:
        return kept("metadata", promise, DECLARE, [fault for fault in faults if fault])

    yield finding("the package has a name", "" if facts.name else "pyproject.toml has no name")
    yield finding(
        "the package has a version", "" if facts.version else "pyproject.toml has no version"
    )
    yield finding("it requires materia-core, from one version and below another", _core(facts))
    points = "" if facts.points else f"no entry point is in the group {GROUP!r}, so nobody finds it"
    yield finding("an entry point names the module of the plugin", points)
    yield finding(
        "its licence is known",
        "" if facts.licensed else 'the metadata has no licence; write license = "MIT", or yours',
    )
    untyped = [
        one.name for one in facts.packages if one.is_dir() and not (one / "py.typed").exists()
    ]
    cause = f"{', '.join(untyped)} has no file py.typed, so no type checker reads its types"
    yield finding("type checkers can read it", cause if untyped else "")


def _core(facts: Facts) -> str:
    found = [match["bounds"] for one in facts.requires if (match := CORE.match(one.strip()))]
    if not found:
        return "it does not require materia-core; write materia-core>=0.1,<0.2"
    bounds = found[0].strip()
    if re.search(r"[>~=]=", bounds) and re.search(r"<|~=|==", bounds):
        return ""
    return (
        f"it requires materia-core{bounds or ' in any version'}; promises change with the second "
        "number of the version, so write for example materia-core>=0.1,<0.2"
    )


def imports(facts: Facts) -> Iterator[Finding]:
    """The promises about imports; nothing is imported to find out."""
    faults: dict[str, list[str]] = {rule: [] for rule in RULES}
    for package in facts.packages:
        files = sorted(package.rglob("*.py")) if package.is_dir() else [package]
        for file in files:
            for line, module, name in _imported(file):
                where = f"{file.relative_to(facts.code)}:{line} imports {module}"
                for rule, fault in _broken(facts, file, module, name):
                    faults[rule].append(f"{where}{fault}")
    for rule, (promise, page) in RULES.items():
        yield kept("imports", promise, page, faults[rule])


RULES: Mapping[str, tuple[str, str]] = {
    "runner": ("it imports nothing of the runner", API),
    "plugin": ("it imports no other plugin", API),
    "api": ("it imports only the stable API of materia", API),
    "test kit": (
        "only its emulator imports the test kit",
        f"{GUIDE}#hold-it-to-its-contract",
    ),
    "required": ("it requires each kit that it imports", DECLARE),
}


def _broken(facts: Facts, file: Path, module: str, name: str) -> Iterator[tuple[str, str]]:
    top = module.split(".", maxsplit=1)[0]
    if top in {package.stem for package in facts.packages}:
        return
    if top == RUNNER:
        yield "runner", ""
    elif top == TEST_KIT:
        if EMULATOR not in {*file.parts, file.stem}:
            yield "test kit", ""
    elif top == "materia" or _is_kit(top):
        if not on_the_surface(module, name):
            yield "api", f"{f'.{name}' if name else ''}, which is not in {API}"
        if top != "materia" and not _required(facts, top):
            yield "required", f", and pyproject.toml does not require {_distribution(top)}"
    elif top in _plugin_packages() and _distribution(top) != facts.name:
        yield "plugin", f" of {_distribution(top)}"


def _imported(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line, module and name of every import; no name where a module itself is imported."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # loading it says so
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)


def on_the_surface(module: str, name: str) -> bool:
    """Whether plugins may import *name* from *module*, or *module* when there is no name."""
    listed = _listed(module)
    if module in VALUES or (listed is not None and "." not in module):
        return not name or name in (listed or ())
    package, _, last = module.rpartition(".")
    if listed is not None and name in listed and _is_package(module):
        return True
    above = _listed(package)
    if above is None or last not in above:
        return module == "materia.kit" and name in (listed or ())
    return not name or name in (listed or ())


@cache
def _listed(module: str) -> tuple[str, ...] | None:
    """The `__all__` of a module, read and not run; None without one."""
    try:
        spec = find_spec(module)
        tree = ast.parse(Path(spec.origin).read_bytes()) if spec and spec.origin else None
    except (ImportError, OSError, SyntaxError, ValueError):
        return None
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            names: list[str] = ast.literal_eval(node.value)
            return tuple(names)
    return None


def _is_package(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None


@cache
def _distributions() -> Mapping[str, str]:
    """The distribution of each Python package that is installed."""
    return {package: names[0] for package, names in packages_distributions().items()}


def _distribution(package: str) -> str:
    return _distributions().get(package, package.replace("_", "-"))


@cache
def _plugin_packages() -> frozenset[str]:
    """The Python packages of all installed plugins."""

    def points(one: Distribution) -> Iterator[str]:
        yield from (point.module.split(".")[0] for point in one.entry_points.select(group=GROUP))

    return frozenset(package for one in distributions() for package in points(one))


def _is_kit(package: str) -> bool:
    """Whether it is a library of materia for plugins: it declares none itself."""
    return (
        package.startswith("materia_")
        and package not in _plugin_packages()
        and (_distribution(package).startswith("materia-") and _listed(package) is not None)
    )


def _required(facts: Facts, package: str) -> bool:
    wanted = re.sub(r"[-_.]+", "-", _distribution(package)).lower()
    names = (re.split(r"[\s\[(<>=!~;]", one.strip(), maxsplit=1)[0] for one in facts.requires)
    return wanted in {re.sub(r"[-_.]+", "-", name).lower() for name in names}
