"""Run uv, which resolves for machines that this one is not, and unpacks from its cache in no time.

Answers that uv remembers are tried first, so that nothing waits for a network that is not needed.
"""

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
# These would change what is installed, or where.
NOT_OURS = ("UV_COMPILE_BYTECODE", "UV_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_EXCLUDE")


class Uv:
    """The program uv, run in *folder*, whose configuration of indexes it heeds.

    It runs programs of others, that build packages: they get the variables of *environment*, which
    are those of this process when there is none.

    Raises:
        ArtifactError: it is not installed.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = os.environ if environment is None else environment
        self._program = find_uv(os.environ.get("PATH", ""), Path(sys.executable).parent)

    def run(self, *arguments: str, offline: bool = False) -> str | None:
        """Run to the end; None when it succeeded, else what it said."""
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
        """Run to the end, with the network when it does not go without.

        Raises:
            ArtifactError: *what* could not be done; with uv's reason and what to do.
        """
        if self.run(*arguments, offline=True) is None:
            return
        if (said := self.run(*arguments)) is not None:
            raise failed(what, said)


def find_uv(path: str, beside: Path) -> str:
    """The program uv in one of the folders of *path*, or beside this Python.

    Raises:
        ArtifactError: it is not installed.
    """
    for folders in (path, str(beside)):
        if folders and (found := shutil.which("uv", path=folders)):
            return found
    raise ArtifactError(
        "what a worker runs is put together with uv, which is not installed: "
        f"neither on PATH nor in {beside}; install it there with `pip install uv`"
    )


def failed(what: str, said: str) -> ArtifactError:
    """An error that says what uv's failure means."""
    if any(sign in said for sign in NETWORK):
        reason = "the package index cannot be reached, and not all that is needed is in uv's cache"
    elif "usable wheels" in said or "wheels with a matching" in said:
        reason = "a package has no wheel for it, and nothing is compiled for another machine"
    else:
        reason = "uv failed"
    last = "\n  ".join(said.splitlines()[-LAST_LINES:])
    return ArtifactError(f"{what}: {reason}\n  {last}")
