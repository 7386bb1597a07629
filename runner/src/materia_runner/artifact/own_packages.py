"""The files of distributions that no index may have: built from their folder, or as installed."""

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

# What an installer notes about this machine, and the hashes of programs that name its Python.
NOTES = frozenset(
    {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
)


def own_files(distribution: Distribution, uv: Uv) -> Mapping[str, bytes]:
    """Content by path of what a worker has a use for, as it lies in `lib/` of the artifact.

    An editable one is built, so that what is in its folder now is what runs on the worker.

    Raises:
        ConfigError: it is compiled from its folder, or nobody knows which files it has.
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
        if is_sent(distribution, PurePosixPath(path))
    }
    if compiled := next((path for path in files if PurePosixPath(path).suffix in COMPILED), None):
        raise ConfigError(
            f"{distribution.name} is compiled for this machine ({compiled}), and not for a worker; "
            f"publish wheels of it to your package index, and install it from there"
        )
    return files


def is_wanted(path: PurePosixPath) -> bool:
    """Whether a worker has a use for an installed file."""
    return (
        path.suffix != ".pyc"
        and "__pycache__" not in path.parts
        and not (path.name in NOTES and path.parent.suffix == ".dist-info")
    )


def _built(distribution: Distribution, folder: Path, uv: Uv) -> dict[str, bytes]:
    what = f"build {distribution.name} from {folder}"
    if not folder.is_dir():
        raise ArtifactError(f"{what}: the folder is gone; install the plugin again")
    with TemporaryDirectory(prefix="materia-wheel-") as out:
        uv.must(what, "build", "--wheel", "--out-dir", out, str(folder))
        (wheel,) = Path(out).glob("*.whl")
        return wheel_files(wheel)


def wheel_files(wheel: Path) -> dict[str, bytes]:
    """Content by path of what a wheel puts where modules are."""
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if path.parts[0].endswith(".data"):
                if len(path.parts) < 3 or path.parts[1] not in {"purelib", "platlib"}:
                    continue  # programs, headers, pages of a manual
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
    """For one without a list of its files, as system packages are: what its entry points name."""
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
            f"nobody knows which files {distribution.name} has; install it again with pip or uv"
        )
    return files


def _dist_info(distribution: Distribution) -> str:
    name = distribution.name.replace("-", "_").replace(".", "_")
    return f"{name}-{distribution.version}.dist-info"
