"""A place to run the real command line in: its own folder, home, environment and plugins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

TESTS = Path(__file__).resolve().parents[1]
PROJECT = TESTS.parent / "transform/sqlmesh_materia"
DEADLINE_SECONDS = 60.0


class Workshop:
    """Runs `python -m materia_runner` in *directory* with plugins installed for it alone.

    materia-transform is hidden unless it is asked for, by one of that name which brings nothing:
    with its models the sample takes twice as long.
    """

    def __init__(self, directory: Path, *, with_transform: bool = False) -> None:
        self._name(directory)
        for folder in (self.directory, self._site, self.home):
            folder.mkdir()
        if not with_transform:
            hidden = self._site / "materia_transform-0.dist-info"
            hidden.mkdir()
            (hidden / "METADATA").write_text("Metadata-Version: 2.1\nName: materia-transform\n")

    @classmethod
    def of(cls, directory: Path) -> Self:
        """The workshop that was made in *directory* before, maybe by another process."""
        workshop = cls.__new__(cls)
        workshop._name(directory)
        return workshop

    def _name(self, directory: Path) -> None:
        self.directory = directory / "work"
        self._site = directory / "site"
        self.home = directory / "home"
        self._started: list[subprocess.Popen[str]] = []

    def install(
        self,
        name: str,
        module: str,
        *,
        distribution: str = "",
        version: str = "1.2",
        group: str = "materia",
        files: tuple[str, ...] = (),
    ) -> None:
        """Put an entry point *name* for *module* on the path, as installing a package does.

        With *files*, its modules, it is one that can be packed for workers.
        """
        distribution = distribution or f"materia-{name}"
        meta = self._site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        meta.mkdir()
        text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (meta / "METADATA").write_text(text)
        (meta / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
        if files:
            notes = [f"{meta.name}/{note}" for note in ("METADATA", "entry_points.txt", "RECORD")]
            (meta / "RECORD").write_text("".join(f"{path},,\n" for path in (*files, *notes)))

    def pipe_folders(self) -> None:
        """Set a pipeline that reads two files of the folder `in` and publishes to `out`."""
        self.install("folder", "fakes.folder")
        self.write("materia.toml", 'source = "folder"\nsink = "folder"\n')
        self.write("in/2024-01.csv", "apples,1\npears,2\n")
        self.write("in/2024-02.csv", "apples,3\n")

    def copy_project(self) -> None:
        """Put the SQLMesh project where a clone has it."""
        shutil.copytree(
            PROJECT,
            self.directory / "transform/sqlmesh_materia",
            ignore=shutil.ignore_patterns(".cache", "logs", "__pycache__", "*.duckdb*"),
        )

    def take_over(self, other: Workshop) -> None:
        """Copy what runs left in the folder and the home of *other*, into which none ran here."""
        for mine, theirs in ((self.directory, other.directory), (self.home, other.home)):
            shutil.copytree(theirs, mine, symlinks=True, dirs_exist_ok=True)

    def module(self, name: str, text: str) -> None:
        """Put a module of this text on the path."""
        (self._site / f"{name}.py").write_text(text, encoding="utf-8")

    def write(self, path: str, text: str) -> Path:
        """Write a file in the working folder."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of the machine's but the path to programs."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": f"{TESTS}{os.pathsep}{self._site}",
            **more,
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "materia_runner", *arguments]

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment(**environment or {}),
            capture_output=True,
            text=True,
            timeout=4 * DEADLINE_SECONDS,
            check=False,
        )

    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start and go on; what still runs when the test ends is killed."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment(**environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def kill_all(self) -> None:
        """Let no process outlive a test that failed: it would disturb those after it."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def workers(self) -> list[str]:
        """Names of the worker folders that are left."""
        folder = self.directory / ".materia" / "workers"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Return as soon as it is true; fail when it is not within the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {DEADLINE_SECONDS:.0f} s")
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether a process of that number runs; one that ended and was not waited for does not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"
