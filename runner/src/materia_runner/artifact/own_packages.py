"""Pack core and plugins: build an editable package as a wheel, or copy its installed files."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Mapping
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from materia.errors import ArtifactError, ConfigError

from materia_runner.artifact.dependencies import COMPILED, direct_url
from materia_runner.artifact.unsent_files import is_sent
from materia_runner.artifact.uv import Uv

# Files in which an installer records this machine, such as the hashes of its programs.
NOTES = frozenset(
    {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
)


def own_files(
    distribution: Distribution, uv: Uv, *, supervisor: bool = False
) -> Mapping[str, bytes]:
    """The files of a distribution that a worker needs: content by path in the artifact's `lib/`.

    A *supervisor* needs all of them. An editable package is built, so that the worker runs the
    current content of its folder.

    Raises:
        ConfigError: it is compiled from its folder, or its list of files is unknown.
        ArtifactError: it cannot be built.
    """
    url = direct_url(distribution) or {}
    if url.get("dir_info", {}).get("editable"):
        files = _built(distribution, Path(unquote(urlsplit(str(url["url"])).path)), uv)
    else:
        files = _installed(distribution)
    files = {
        path: content
        for path, content in files.items()
        if supervisor or is_sent(distribution, PurePosixPath(path))
    }
    if compiled := next((path for path in files if PurePosixPath(path).suffix in COMPILED), None):
        raise ConfigError(
            f"cannot pack {distribution.name}: it is compiled for this machine ({compiled}), not "
            f"for a worker; publish its wheels to your package index, and install it from there"
        )
    return files


def is_wanted(path: PurePosixPath) -> bool:
    """Whether a worker needs an installed file."""
    return (
        path.suffix != ".pyc"
        and "__pycache__" not in path.parts
        and not (path.name in NOTES and path.parent.suffix == ".dist-info")
    )


def _built(distribution: Distribution, folder: Path, uv: Uv) -> dict[str, bytes]:
    what = f"build {distribution.name} from {folder}"
    if not folder.is_dir():
        raise ArtifactError(f"cannot {what}: the folder is gone; install the plugin again")
    with TemporaryDirectory(prefix="materia-wheel-") as out:
        uv.must(what, "build", "--wheel", "--out-dir", out, str(folder))
        (wheel,) = Path(out).glob("*.whl")
        return wheel_files(wheel)


def wheel_files(wheel: Path) -> dict[str, bytes]:
    """The module files of a wheel: content by path."""
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if path.parts[0].endswith(".data"):
                if len(path.parts) < 3 or path.parts[1] not in {"purelib", "platlib"}:
                    continue  # programs, headers, manual pages
                path = PurePosixPath(*path.parts[2:])
            if not name.endswith("/") and is_wanted(path):
                files[path.as_posix()] = archive.read(name)
    return files


def _installed(distribution: Distribution) -> dict[str, bytes]:
    if distribution.files is None:
        return _named(distribution)
    files = {}
    for path in distribution.files:
        outside = path.is_absolute() or ".." in path.parts
        if not outside and is_wanted(path) and (file := Path(str(path.locate()))).is_file():
            files[path.as_posix()] = file.read_bytes()
    return files


def _named(distribution: Distribution) -> dict[str, bytes]:
    """The files that the entry points name, for a system package without a list of its files."""
    files = {
        f"{_dist_info(distribution)}/{name}": text.encode()
        for name in ("METADATA", "entry_points.txt")
        if (text := distribution.read_text(name)) is not None
    }
    points = distribution.entry_points.select(group="materia")
    for top in sorted({point.module.partition(".")[0] for point in points}):
        spec = importlib.util.find_spec(top)
        for root in (spec and spec.submodule_search_locations) or ():
            for file in sorted(Path(root).rglob("*")):
                path = PurePosixPath(top, file.relative_to(root).as_posix())
                if file.is_file() and is_wanted(path):
                    files[path.as_posix()] = file.read_bytes()
        if spec and not spec.submodule_search_locations and spec.origin:
            files[Path(spec.origin).name] = Path(spec.origin).read_bytes()
    if not any(path.endswith(".py") for path in files):
        raise ConfigError(
            f"cannot pack {distribution.name}: its list of files is missing; install it again with "
            "pip or uv"
        )
    return files


def _dist_info(distribution: Distribution) -> str:
    name = distribution.name.replace("-", "_").replace(".", "_")
    return f"{name}-{distribution.version}.dist-info"
