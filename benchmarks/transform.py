"""What a whole run takes: processor time of two versions of materia, beside each other.

    uv run --all-extras --group dev python benchmarks/transform.py --other CHECKOUT [--rows R]

Cases: the sample in an empty folder of a user who never ran materia, a first month there, the same
after the sample, a new month on top of two, models unchanged, the same after an edit of one model,
and the transform stage of that month alone. *CHECKOUT* is a folder with another
version of this repository and its `.venv`. The cases of both alternate, and the least of each
counts: another program on the machine only ever adds to it. The floor of the transform is plain
DuckDB that runs the statements and audits of the same models.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = "transform/sqlmesh_materia"
MONTHS = 3


def cpu_seconds(folder: Path, *command: str | Path, home: Path | None = None) -> float:
    """User and system time of a command and all that it starts; it sees nothing of this user's.

    Args:
        folder: Folder to run it in.
        command: The command.
        home: Home of its user; one beside *folder* when None.

    Raises:
        SystemExit: it failed; its last words are shown.
    """
    home = home or folder.with_name("home")
    home.mkdir(exist_ok=True)
    log = folder.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
            stdout=out,
            stderr=out,
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{log.read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime


class Version:
    """A checkout with its environment, and folders in which it runs."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.materia = checkout / ".venv/bin/materia"
        self.project = checkout / PROJECT
        self.folder = folder
        folder.mkdir()

    def fresh(self, name: str) -> Path:
        """An empty folder with the project of this version."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        left_behind = shutil.ignore_patterns(".cache", "logs", "__pycache__", "*.duckdb*")
        shutil.copytree(self.project, folder / PROJECT, ignore=left_behind)
        return folder

    def reading(self, name: str, mirror: Path, archive: Path) -> Path:
        """A fresh folder with a pipeline that reads *mirror*, where *archive* is the oldest."""
        folder = self.fresh(name)
        year, month = archive.parts[-3:-1]
        (folder / "materia.toml").write_text(
            f'[sources.psdonline]\nbase_url = "{mirror.as_uri()}"\n'
            f'first_release = "{year}-{month}"\n'
        )
        return folder

    def prepare(self, archives: Sequence[Path]) -> None:
        """Publish all months but the newest, and put that one into the mirror."""
        self.oldest = archives[0]
        put(self.oldest, self.folder / "one month")
        mirror = self.folder / "mirror"
        before = self.reading("before", mirror, self.oldest)
        for archive in archives[:-1]:
            put(archive, mirror)
        cpu_seconds(before, self.materia, "run")
        put(archives[-1], mirror)

    def sample(self) -> float:
        """The sample, in an empty folder, for a new user."""
        home = self._new_user()
        return cpu_seconds(self.fresh("sample"), self.materia, "run", "--sample", home=home)

    def first_month(self) -> float:
        """One month, in an empty folder, for a new user."""
        folder = self.reading("first", self.folder / "one month", self.oldest)
        return cpu_seconds(folder, self.materia, "run", home=self._new_user())

    def after_sample(self) -> float:
        """One month in a folder, for a user who has run the sample there."""
        folder = self.reading("first", self.folder / "one month", self.oldest)
        home = self._new_user()
        cpu_seconds(folder, self.materia, "run", "--sample", home=home)
        return cpu_seconds(folder, self.materia, "run", home=home)

    def month(self) -> float:
        """A new month on top of the others."""
        return cpu_seconds(self._after(), self.materia, "run")

    def edited(self) -> float:
        """The same month after an edit of one model, which one to three others read."""
        after = self._after()
        model = after / PROJECT / "models/serving/dim_country.sql"
        model.write_text(f"{model.read_text().rstrip()}\nLIMIT 1000000\n")
        return cpu_seconds(after, self.materia, "run")

    def transform(self) -> float:
        """The transform stage of that month."""
        after = self._after()
        cpu_seconds(after, self.materia, "pipeline", "run", "extract")
        return cpu_seconds(after, self.materia, "pipeline", "run", "transform")

    def _new_user(self) -> Path:
        home = self.folder / "new user"
        shutil.rmtree(home, ignore_errors=True)
        return home

    def _after(self) -> Path:
        """The folder before the month was fetched."""
        after = self.folder / "after"
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(self.folder / "before", after)
        return after

    def floor(self) -> float:
        """Models and audits of the month in plain DuckDB, from the shipped statements."""
        recorded = self.project / "recorded_build.json.gz"
        database = self.folder / "floor.duckdb"
        shutil.copyfile(self.folder / "after/materia.duckdb", database)
        case = HERE / "cases/models_alone.py"
        python = self.materia.with_name("python")
        return cpu_seconds(self.folder / "after", python, case, database, recorded)


def put(archive: Path, mirror: Path) -> None:
    """Put an archive into a mirror."""
    target = mirror / Path(*archive.parts[-3:])
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(archive, target)


def main() -> None:
    """Measure what the command line says, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--other", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--rows", type=int, default=2_060_000, help="of the oldest release")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="of each case")
    parser.add_argument("--mirror", type=Path, help="archives to use instead of made-up ones")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mirror = options.mirror or folder / "releases"
        if not options.mirror:
            build = [sys.executable, HERE / "mirror.py", mirror, "--releases", MONTHS]
            subprocess.run(
                list(map(str, [*build, "--rows", options.rows])), check=True, stdout=sys.stderr
            )
        archives = sorted(mirror.resolve().glob("*/*/psd_alldata_csv.zip"))[:MONTHS]
        versions = {
            "this": Version(HERE.parent, folder / "this"),
            "other": Version(options.other.resolve(), folder / "other"),
        }
        for version in versions.values():
            version.prepare(archives)
        print("| CPU | other | this | ratio |\n| --- | ---: | ---: | ---: |")
        cases = {
            "the sample": Version.sample,
            "a first month": Version.first_month,
            "the same after the sample": Version.after_sample,
            "a month": Version.month,
            "the same after an edit": Version.edited,
            "its transform": Version.transform,
        }
        for title, case in cases.items():
            times: dict[str, list[float]] = {key: [] for key in versions}
            for _ in range(options.repetitions):
                for key, version in versions.items():
                    times[key].append(case(version))
            other, this = min(times["other"]), min(times["this"])
            print(f"| {title} | {other:.2f} s | {this:.2f} s | {this / other:.2f} |", flush=True)
        floor = min(versions["this"].floor() for _ in range(options.repetitions))
        print(f"| its models and audits, plain DuckDB | | {floor:.2f} s | |")


if __name__ == "__main__":
    main()
