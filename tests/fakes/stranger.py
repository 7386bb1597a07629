"""An environment outside of the clone, with wheels in it, as somebody else would make one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def find_uv() -> str:
    """The program uv; without it the test is skipped."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv builds the wheels and makes the environment, and it is not installed")
    return uv


class Stranger:
    """A folder with wheels and a fresh environment, and a home of its own.

    Attributes:
        folder: Where everything is run.
        wheels: What uv finds beside the index, as if it had been published.
    """

    def __init__(self, folder: Path, *, wheels: Path | None = None) -> None:
        self.folder = folder
        self.wheels = wheels or folder / "wheels"
        self._uv = find_uv()
        # What belongs to the environment of these tests stays out of the new one. Bytecode is
        # compiled of what is imported, and kept: all of an environment takes twenty seconds.
        dropped = {
            "PYTEST_ADDOPTS",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONPATH",
            "UV_COMPILE_BYTECODE",
            "VIRTUAL_ENV",
        }
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in dropped and not name.startswith("MATERIA")
        }
        self.environment["MATERIA_STATE_DIR"] = str(folder / "state")

    def build(self, *projects: Path) -> None:
        """Build these projects, or all of the workspace."""
        for project in projects:
            self.uv("build", "--wheel", "--out-dir", str(self.wheels), str(project))
        if not projects:
            self.uv("build", "--wheel", "--all-packages", "--out-dir", str(self.wheels), str(ROOT))

    def make_environment(self) -> None:
        """Make an empty one, with the Python of these tests."""
        self.uv("venv", "--python", sys.executable, str(self.folder / "venv"))

    def install(self, *requirements: str) -> None:
        """Install into it what the wheels and the index have; uv's cache will do where it can."""
        self.fetching("pip", "install", "--python", self.program("python"), *requirements)

    def fetching(self, *arguments: str) -> None:
        """Run uv with the wheels, offline when its cache has everything else."""
        command = ("--quiet", "--no-config", *arguments, "--find-links", str(self.wheels))
        if self._run(self._uv, "--offline", *command).returncode != 0:
            self.run(self._uv, *command)

    def program(self, name: str) -> str:
        return str(self.folder / "venv/bin" / name)

    def uv(self, *arguments: str) -> None:
        self.run(self._uv, "--quiet", "--no-config", *arguments)

    def run(self, *arguments: str, expected: int = 0) -> str:
        """Run to the end, and return what it wrote to standard output."""
        result = self._run(*arguments)
        assert result.returncode == expected, f"{arguments}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def refused(self, *arguments: str, expected: int = 2) -> str:
        """Run what fails, and return what it wrote to standard error."""
        result = self._run(*arguments)
        assert result.returncode == expected, f"{arguments}\n{result.stdout}\n{result.stderr}"
        return result.stderr

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            check=False,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
