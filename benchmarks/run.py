"""Measure materia beside its peers on the same archives, and print the tables of the README.

    uv run --group dev python benchmarks/run.py [--rows R] [--seed S] [--releases 1,4,16,64]

Builds a mirror of made-up releases (`mirror.py`), an environment for each peer, and runs every case
in a process of its own. Figures are wall time, processor time of all threads, peak memory of the
process and the size of the database; ratios are against plain DuckDB loading the same archive into
a fresh file, in the same run. What was written before a case is on the disk when it begins.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
# The union reads all texts unzipped, 13 GB of them by then.
UNION_AT_MOST = 64
# Both peers would phone home, and wait for an answer.
QUIET = {
    "DISABLE_TELEMETRY": "true",
    "INGESTR_DISABLE_TELEMETRY": "true",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
}
PEERS = {
    "dlt": ["dlt[duckdb]==1.31.0", "pyarrow", "duckdb<1.6"],
    "ingestr": ["ingestr==0.14.155"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one process took."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    database_mb: float


def measure(command: Sequence[str | Path], database: Path) -> Figures:
    """Run a command to its end, with all its threads and children.

    Raises:
        SystemExit: it failed; its last words are shown.
    """
    log = database.parent / "log.txt"
    os.sync()
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdout=out, stderr=out, env={**os.environ, **QUIET}
        )
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed:\n{log.read_text()[-2000:]}")
    return Figures(
        wall_seconds=time.perf_counter() - started,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2),
        database_mb=database.stat().st_size / 1e6,
    )


def typical(repeat: int, run: Callable[[], Figures]) -> Figures:
    """The median of each figure over a few runs."""
    found = [asdict(run()) for _ in range(repeat)]
    return Figures(**{name: median(one[name] for one in found) for name in found[0]})


def copied(before: Path, home: Path) -> None:
    """Copy what materia keeps; its raw files, which nothing changes, are the same in both."""
    for path in filter(Path.is_file, before.rglob("*")):
        target = home / path.relative_to(before)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            os.link(path, target)
        else:
            shutil.copy2(path, target)


class Bench:
    """A working folder with a mirror, and the cases to run in it."""

    def __init__(self, folder: Path, archives: Sequence[Path], repeat: int) -> None:
        self.folder = folder
        self.archives = archives
        self.repeat = repeat
        self.homes: dict[int, Path] = {}

    def case(self, name: str) -> Path:
        """The script of a case."""
        return HERE / "cases" / f"{name}.py"

    def fresh(self, name: str) -> Path:
        """An empty folder of that name."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def mirror_of(self, count: int) -> Path:
        """The mirror as it was when it had *count* releases; always the same folder."""
        folder = self.folder / "mirror"
        shutil.rmtree(folder, ignore_errors=True)
        for archive in self.archives[:count]:
            link = folder / Path(*archive.parts[-3:])
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(archive, link)
        return folder

    def floor(self, archive: Path) -> Figures:
        """Plain DuckDB, one archive, a fresh file."""

        def run() -> Figures:
            database = self.fresh("floor") / "psd.duckdb"
            return measure([sys.executable, self.case("duckdb_sql"), archive, database], database)

        return typical(self.repeat, run)

    def ours(self, count: int) -> Figures:
        """A run of materia that takes in release *count* on top of all before it."""
        before = self.history(count - 1)

        def run() -> Figures:
            home = self.fresh("ours")
            if before is not None:
                copied(before, home)
            return self._ours(self.mirror_of(count), home)

        return typical(self.repeat, run)

    def unchanged(self, count: int) -> Figures:
        """A run of materia over a mirror in which nothing is new."""
        home = self.history(count)
        assert home is not None
        return typical(self.repeat, lambda: self._ours(self.mirror_of(count), home))

    def history(self, count: int) -> Path | None:
        """A home with the first *count* releases loaded; grown from the largest one before it."""
        if count == 0:
            return None
        if count not in self.homes:
            home = self.fresh(f"history-{count}")
            start = max((known for known in self.homes if known < count), default=None)
            if start is not None:
                copied(self.homes[start], home)
            self._ours(self.mirror_of(count), home)
            self.homes[count] = home
        return self.homes[count]

    def _ours(self, mirror: Path, home: Path) -> Figures:
        return measure([sys.executable, self.case("ours"), mirror, home], home / "materia.duckdb")

    def naive(self, count: int) -> Figures:
        """The union of all archives, as it has to be made again for each new one."""

        def run() -> Figures:
            database = self.fresh("naive") / "psd.duckdb"
            archives = self.archives[:count]
            return measure(
                [sys.executable, self.case("naive_union"), database, *archives], database
            )

        return typical(1 if count > 2 else self.repeat, run)

    def dlt(self, python: Path, count: int) -> Figures:
        """A run of dlt that appends release *count* to all before it."""
        home = self.fresh("dlt")
        database = home / "psd.duckdb"
        command = [python, self.case("dlt_arrow"), database, home / "state"]
        if count > 1:
            measure([*command, *self.archives[: count - 1]], database)
        return measure([*command, self.archives[count - 1]], database)

    def ingestr(self, python: Path) -> Figures:
        """A run of ingestr on one archive, unzipped for it beforehand."""
        home = self.fresh("ingestr")
        database = home / "psd.duckdb"
        shutil.unpack_archive(self.archives[0], home)
        return measure(
            [
                python.parent / "ingestr", "ingest", "--yes", "--progress", "log",
                "--source-uri", f"csv://{home}/psd_alldata.csv", "--source-table", "psd",
                "--dest-uri", f"duckdb:///{database}", "--dest-table", "raw.psd",
            ],
            database,
        )  # fmt: skip


def environment(folder: Path, name: str) -> Path | None:
    """The interpreter of a peer's own environment, or None when it cannot be installed."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    target = folder / f"env-{name}"
    python = target / "bin" / "python"
    if not python.exists():
        try:
            subprocess.run([uv, "venv", "-q", "--python", "3.11", target], check=True)
            subprocess.run([uv, "pip", "install", "-q", "-p", python, *PEERS[name]], check=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(target, ignore_errors=True)
            return None
    return python


def made_up(folder: Path, releases: int, options: argparse.Namespace) -> list[Path]:
    """The archives of a made-up mirror, built by a process of its own.

    Linux counts what this process ever used as the peak of those it starts.
    """
    mirror = folder / f"mirror-{options.rows}-{options.seed}"
    command = [sys.executable, HERE / "mirror.py", mirror, "--releases", releases]
    command += ["--rows", options.rows, "--seed", options.seed]
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
    return sorted(mirror.glob("*/*/psd_alldata_csv.zip"))


def growth(points: Sequence[tuple[int, float]]) -> float:
    """The exponent e of a cost that grows as releases to the power e: least squares of logs."""
    logs = [(math.log(count), math.log(cost)) for count, cost in points]
    middle = sum(x for x, _ in logs) / len(logs)
    spread = sum((x - middle) ** 2 for x, _ in logs)
    return sum((x - middle) * y for x, y in logs) / spread


def fit(history: dict[int, tuple[Figures, Figures, Figures | None]], side: int, figure: str) -> str:
    """How a figure of one side of *history* grows, or nothing to be said.

    The first release has nothing to be compared with: growth is that of the months after it.
    """
    points = [
        (count, getattr(each[side], figure))
        for count, each in history.items()
        if count > 1 and each[side] is not None
    ]
    return f"{growth(points):.2f}" if len(points) > 1 else ""


def main() -> None:
    """Run what the command line says and print Markdown; the figures go to results.json too."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="for all files")
    parser.add_argument("--mirror", type=Path, help="archives to use instead of made-up ones")
    parser.add_argument("--rows", type=int, default=2_060_000, help="of the oldest release")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--releases", default="1,4,16,64", help="points of the growing history")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each short case")
    parser.add_argument("--peers", default="dlt,ingestr", help="empty for none")
    options = parser.parse_args()
    counts = sorted({int(count) for count in options.releases.split(",")})
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    archives = (
        sorted(options.mirror.resolve().glob("*/*/psd_alldata_csv.zip"))
        if options.mirror
        else made_up(folder, max(2, *counts), options)
    )
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    bench = Bench(work, archives, options.repeat)
    floor = bench.floor(archives[0])
    rows: dict[str, Figures] = {
        "DuckDB SQL, one archive (the floor)": floor,
        "materia, first month": bench.ours(1),
        "materia, second month": bench.ours(2),
        "materia, nothing new": bench.unchanged(2),
        "union of all archives, one": bench.naive(1),
        "union of all archives, two": bench.naive(2),
    }
    for name in filter(None, options.peers.split(",")):
        python = environment(folder, name)
        if python is None:
            print(f"{name}: cannot be installed here, left out", file=sys.stderr)
        elif name == "dlt":
            rows["dlt, Arrow batches, first month"] = bench.dlt(python, 1)
            rows["dlt, Arrow batches, second month (append)"] = bench.dlt(python, 2)
        else:
            rows["ingestr, first month (unzipped before)"] = bench.ingestr(python)
    history = {
        count: (
            bench.floor(archives[count - 1]),
            bench.ours(count),
            bench.naive(count) if count <= UNION_AT_MOST else None,
        )
        for count in counts
    }
    report(folder, options, rows, history)


def report(
    folder: Path,
    options: argparse.Namespace,
    rows: dict[str, Figures],
    history: dict[int, tuple[Figures, Figures, Figures | None]],
) -> None:
    """Print the tables, and write the figures down."""
    floor = next(iter(rows.values()))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores {platform.machine()}, "
        f"Python {platform.python_version()}, "
        f"{options.mirror or f'{options.rows:,} rows, seed {options.seed}'}\n"
    )
    print(
        "| one month | wall | CPU | peak memory | database |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name, one in rows.items():
        print(
            f"| {name} | {one.wall_seconds:.2f} s ({one.wall_seconds / floor.wall_seconds:.2f}) "
            f"| {one.cpu_seconds:.2f} s ({one.cpu_seconds / floor.cpu_seconds:.2f}) "
            f"| {one.peak_mb:,.0f} MB ({one.peak_mb / floor.peak_mb:.2f}) "
            f"| {one.database_mb:.1f} MB ({one.database_mb / floor.database_mb:.2f}) |"
        )
    print("\n| a new month on top of | DuckDB, that one | materia | database | union | database |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for count, (alone, ours, naive) in history.items():
        union = (
            f"{naive.wall_seconds:.2f} s ({naive.wall_seconds / alone.wall_seconds:.2f}) "
            f"| {naive.database_mb:.1f} MB"
            if naive
            else "not run | "
        )
        print(
            f"| {count - 1} releases | {alone.wall_seconds:.2f} s (1.00) "
            f"| {ours.wall_seconds:.2f} s ({ours.wall_seconds / alone.wall_seconds:.2f}) "
            f"| {ours.database_mb:.1f} MB | {union} |"
        )
    fitted = [
        fit(history, side, figure)
        for side, figure in (
            (0, "wall_seconds"), (1, "wall_seconds"), (1, "database_mb"),
            (2, "wall_seconds"), (2, "database_mb"),
        )
    ]  # fmt: skip
    print("| grows as releases to the power | " + " | ".join(fitted) + " |")
    results = {
        "rows": {name: asdict(one) for name, one in rows.items()},
        "history": {
            count: [one and asdict(one) for one in each] for count, each in history.items()
        },
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
