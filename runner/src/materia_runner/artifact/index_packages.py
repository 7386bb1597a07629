"""Third-party packages of a worker: resolve and download wheels for its Python and processor."""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from materia_runner.artifact.dependencies import Dependencies, normalized
from materia_runner.artifact.own_packages import is_wanted
from materia_runner.artifact.target import Target
from materia_runner.artifact.uv import Uv, failed

# Files beside modules that a worker never uses: programs (their first line names a Python of this
# machine), manual pages, headers, files for notebooks, and uv's own lock.
BESIDE = frozenset({".lock", "bin", "etc", "include", "share"})
# SQLMesh's web page.
UNUSED = (("web",),)
# Packages whose tests and type stubs are left out: 20 MB, and 800 files of 5,000.
UNUSED_TESTS = frozenset({"numpy", "pandas", "regex"})
NEEDS = ("Requires-Dist:", "Requires-Python:", "Provides-Extra:")
_PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A distribution packed from this machine, and its files by path."""

    name: str
    version: str
    files: Mapping[str, bytes]

    @property
    def needs(self) -> tuple[str, ...]:
        """The lines of its metadata with its Python version, requirements and extras."""
        found = [content for path, content in self.files.items() if _is_metadata(path)]
        head = b"".join(found).decode().partition("\n\n")[0]
        return tuple(line for line in head.splitlines() if line.startswith(NEEDS))

    def with_extras(self, wanted: tuple[str, ...]) -> str:
        """Its name with the wanted extras that it has."""
        has = [extra for extra in wanted if f"Provides-Extra: {extra}" in self.needs]
        return f"{self.name}[{','.join(has)}]" if has else self.name


def _is_metadata(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return len(parts) == 2 and parts[0].endswith(".dist-info") and parts[1] == "METADATA"


def resolve(
    own: tuple[Own, ...], dependencies: Dependencies, target: Target, *, uv: Uv, scratch: Path
) -> Mapping[str, str]:
    """Resolve the packages that *own* needs on the target: version by name.

    It prefers the versions installed here; a package that only the target needs, or whose version
    does not run there, gets the newest version that does.

    Raises:
        ArtifactError: a package is not available.
    """
    wanted, left_out, answer = (scratch / f"{name}.txt" for name in ("in", "without", "out"))
    lines = [f"{one.with_extras(dependencies.extras)} @ {_stand_in(one, scratch)}" for one in own]
    # uv only warns about an extra that does not exist.
    extras = f"[{','.join(dependencies.extras)}]" if dependencies.extras else ""
    lines += [f"{name}{extras}=={dependencies.pins[name]}" for name in dependencies.asked]
    wanted.write_text("\n".join([*lines, ""]))
    # An override that is never true: older versions of uv have no other way to exclude a package.
    left_out.write_text(
        "".join(f"{name} ; python_version < '0'\n" for name in dependencies.left_out)
    )
    arguments = (
        *("pip", "compile", str(wanted), "--output-file", str(answer)),
        *("--overrides", str(left_out), "--no-header", "--no-annotate"),
        *_for(target),
    )
    ours = {normalized(one.name) for one in own}
    for offline in (True, False):
        # uv prefers the versions in its output file.
        answer.write_text("".join(f"{name}=={v}\n" for name, v in dependencies.pins.items()))
        said = uv.run(*arguments, offline=offline)
        packages = _read(answer) if said is None else {}
        # uv's cache may lack packages: an offline answer counts only if it has the versions here.
        if said is None and (not offline or packages.items() <= dependencies.pins.items()):
            return {name: version for name, version in packages.items() if name not in ours}
    raise failed(f"find the packages for {target}", said or "")


def unpack(packages: Mapping[str, str], target: Target, folder: Path, *, uv: Uv) -> None:
    """Install these packages into *folder*, as hard links into uv's cache where possible.

    Raises:
        ArtifactError: a package is not available.
    """
    pins = folder.with_suffix(".txt")
    pins.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()))
    uv.must(
        f"get the packages for {target}",
        *("pip", "install", "--no-deps", "--target", str(folder), "--requirements", str(pins)),
        *("--link-mode", "hardlink", *_for(target)),
    )


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files in *folder* that a worker needs, sorted, each with its path in *folder*."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        path = PurePosixPath(file.relative_to(folder).as_posix())
        unused = any(path.parts[: len(parts)] == parts for parts in UNUSED)
        if path.parts[0] in UNUSED_TESTS:
            unused = "tests" in path.parts or path.suffix == ".pyi"
        if is_wanted(path) and not unused and path.parts[0] not in BESIDE:
            yield str(path), file


def _for(target: Target) -> tuple[str, ...]:
    return (
        *("--python", sys.executable, "--only-binary", ":all:"),
        *("--python-version", target.python, "--python-platform", target.platform),
    )


def _stand_in(own: Own, scratch: Path) -> str:
    """The URL of an empty wheel for uv, with the requirements of one of the own distributions."""
    name = own.name.replace("-", "_")
    wheel = scratch / f"{name}-{own.version}-py3-none-any.whl"
    info = f"{name}-{own.version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        head = ("Metadata-Version: 2.1", f"Name: {own.name}", f"Version: {own.version}")
        archive.writestr(f"{info}/METADATA", "\n".join([*head, *own.needs, ""]))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel.as_uri()


def _read(answer: Path) -> dict[str, str]:
    pins = map(_PIN.match, answer.read_text().splitlines())
    return {normalized(pin[1]): pin[2] for pin in pins if pin}
