"""Distributions made up for a test: wheels on a shelf that uv reads, and installed ones."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

ANYWHERE = "py3-none-any"
ARM_312 = "cp312-cp312-manylinux_2_17_aarch64"
X86_312 = "cp312-cp312-manylinux_2_17_x86_64"


class Shelf:
    """A folder whose uv.toml names the wheels in it as the only ones there are.

    Attributes:
        folder: Where uv is run.
        site: Where distributions are installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self._wheels = folder / "wheels"
        self.site.mkdir()
        self._wheels.mkdir()
        links = self._wheels.as_posix()
        (folder / "uv.toml").write_text(f'no-index = true\nfind-links = ["{links}"]\n')

    def wheel(
        self, name: str, version: str, tag: str = ANYWHERE, *, requires: Sequence[str] = ()
    ) -> None:
        """Put a wheel on the shelf, with a module that knows the tag."""
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(self._wheels / f"{name}-{version}-{tag}.whl", "w") as archive:
            archive.writestr(f"{name}/__init__.py", f"TAG = {tag!r}\n")
            archive.writestr(f"{name}/tests/__pycache__/x.pyc", "no source")
            archive.writestr(f"{name}-{version}.data/scripts/{name}", "#!python\n")
            archive.writestr(f"{info}/METADATA", metadata(name, version, requires))
            archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
            archive.writestr(f"{info}/RECORD", "")

    def source(self, name: str, version: str) -> None:
        """Put something on the shelf that would have to be compiled."""
        with zipfile.ZipFile(self._wheels / f"{name}-{version}.zip", "w") as archive:
            archive.writestr(f"{name}-{version}/PKG-INFO", metadata(name, version, ()))

    def install(
        self,
        name: str,
        version: str = "1.0",
        *,
        requires: Sequence[str] = (),
        files: Mapping[str, str] | None = None,
        direct_url: str | None = None,
    ) -> Distribution:
        """Install a distribution of these files; *direct_url* is what PEP 610 has noted."""
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        noted = {} if direct_url is None else {f"{info}/direct_url.json": direct_url}
        contents = {f"{info}/METADATA": metadata(name, version, requires), **noted, **(files or {})}
        for path, text in contents.items():
            file = self.site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        record = "".join(f"{path},,\n" for path in [*contents, f"{info}/RECORD"])
        (self.site / info / "RECORD").write_text(record)
        return PathDistribution(self.site / info)

    def find(self, name: str) -> Distribution | None:
        """The installed distribution of that name."""
        pattern = f"{name.replace('-', '_')}-*.dist-info"
        return next((PathDistribution(path) for path in self.site.glob(pattern)), None)


def metadata(name: str, version: str, requires: Sequence[str]) -> str:
    """The METADATA of a distribution."""
    lines = [f"Requires-Dist: {one}" for one in requires]
    extras = {extra for one in requires for extra in re.findall(r"extra == ['\"](\w+)", one)}
    lines += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
    return "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""])
