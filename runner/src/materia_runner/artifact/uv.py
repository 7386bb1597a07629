"""Run uv to resolve and install packages for another platform, from its cache when possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from materia.errors import ArtifactError

LAST_LINES = 12
NETWORK = ("Failed to fetch", "error sending request", "dns error", "Could not connect")
# These variables would change the installed packages, or their folder.
NOT_OURS = ("UV_COMPILE_BYTECODE", "UV_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_EXCLUDE")


class Uv:
    """The program uv, run in *folder*, with the package indexes configured there.

    uv runs build programs of third parties, which get the variables of *environment*; None means
    those of this process.

    Raises:
        ArtifactError: uv is not installed.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = os.environ if environment is None else environment
        self._program = find_uv(os.environ.get("PATH", ""), Path(sys.executable).parent)

    def run(self, *arguments: str, offline: bool = False) -> str | None:
        """Run uv; returns None on success, otherwise uv's output."""
        more = ("--offline",) if offline else ()
        given = {name: value for name, value in self._environment.items() if name not in NOT_OURS}
        result = subprocess.run(
            [self._program, "--quiet", "--no-python-downloads", *more, *arguments],
            cwd=self._folder,
            env={**given, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        return result.stdout.strip() if result.returncode else None

    def must(self, what: str, *arguments: str) -> None:
        """Run uv offline, and with the network when that fails.

        Raises:
            ArtifactError: *what* could not be done; the message has uv's reason.
        """
        if self.run(*arguments, offline=True) is None:
            return
        if (said := self.run(*arguments)) is not None:
            raise failed(what, said)


def find_uv(path: str, beside: Path) -> str:
    """Find uv in the folders of *path*, or beside this Python.

    Raises:
        ArtifactError: uv is not installed.
    """
    for folders in (path, str(beside)):
        if folders and (found := shutil.which("uv", path=folders)):
            return found
    raise ArtifactError(
        "cannot build the worker artifact: uv is not installed, "
        f"neither on PATH nor in {beside}; install it there with `pip install uv`"
    )


def failed(what: str, said: str) -> ArtifactError:
    """The error for a failure of uv, with its reason and uv's last lines."""
    if any(sign in said for sign in NETWORK):
        reason = "the package index cannot be reached, and uv's cache lacks a package"
    elif "usable wheels" in said or "wheels with a matching" in said:
        reason = "a package has no wheel for it, and materia does not cross-compile"
    else:
        reason = "uv failed"
    last = "\n  ".join(said.splitlines()[-LAST_LINES:])
    return ArtifactError(f"cannot {what}: {reason}\n  {last}")
