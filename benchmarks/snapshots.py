"""What a declaration costs beside a loader of its own: psdonline on the kit, and as it is.

    uv run --all-extras --group dev python benchmarks/snapshots.py [--rows R] [--repeat N]

Cases: the first month of made-up releases, and the second one on top of it, each fetched, checked,
loaded into history and published in a process of its own, without models. Both sides read the same
archives with the same key and types. The cases alternate, and the least processor time of each
counts: another program on the machine only ever adds to it. Ratios are against plain DuckDB that
loads one archive into a fresh file.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
from run import HERE, Figures, measure

OURS = HERE / "cases/ours.py"
FLOOR = HERE / "cases/duckdb_sql.py"
SIDES = {"psdonline": "psdonline", "the kit": "kit"}
CURRENT = {
    "psdonline": "SELECT count(*), sum(value) FROM raw.psd_by_release WHERE release = "
    "(SELECT max(release) FROM raw.psd_release)",
    "the kit": "SELECT count(*), sum(value) FROM raw.psdonline_row",
}


def mirror(folder: Path, rows: int) -> tuple[Path, Path]:
    """A mirror with one release, and one with two."""
    both, one = folder / "both", folder / "one"
    command = [sys.executable, HERE / "mirror.py", both, "--releases", "2", "--rows", str(rows)]
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
    archive = min(both.rglob("*.zip"))
    target = one / archive.relative_to(both)
    target.parent.mkdir(parents=True)
    shutil.copy2(archive, target)
    return one, both


def least(found: list[Figures]) -> Figures:
    """The one with the least processor time."""
    return min(found, key=lambda one: one.cpu_seconds)


def main() -> None:
    """Run what the command line says and print Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2_060_000, help="of the oldest release")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each case")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        one, both = mirror(folder, options.rows)
        archive = min(both.rglob("*.zip"))
        found: dict[tuple[str, str], list[Figures]] = {}
        floors = []
        for number in range(options.repeat):
            home = folder / f"floor-{number}"
            home.mkdir()
            database = home / "psd.duckdb"
            floors.append(measure([sys.executable, FLOOR, archive, database], database))
            seen = {}
            for side, which in SIDES.items():
                home = folder / f"{which}-{number}"
                home.mkdir()
                database = home / "materia.duckdb"
                for month, place in (("first month", one), ("second month", both)):
                    command: list[str | Path] = [sys.executable, OURS, place, home, which]
                    found.setdefault((side, month), []).append(measure(command, database))
                with duckdb.connect(str(database), read_only=True) as connection:
                    seen[side] = connection.execute(CURRENT[side]).fetchone()
                shutil.rmtree(home)
            assert len(set(seen.values())) == 1, seen
    show(least(floors), {case: least(some) for case, some in found.items()})


def show(floor: Figures, found: dict[tuple[str, str], Figures]) -> None:
    """Print the table."""
    print("| one month | CPU | peak memory | database |\n| --- | ---: | ---: | ---: |")
    rows = {"DuckDB SQL, one archive (the floor)": floor}
    rows |= {f"{side}, {month}": one for (side, month), one in sorted(found.items(), key=_order)}
    for name, one in rows.items():
        print(
            f"| {name} | {one.cpu_seconds:.2f} s ({one.cpu_seconds / floor.cpu_seconds:.2f}) "
            f"| {one.peak_mb:,.0f} MB ({one.peak_mb / floor.peak_mb:.2f}) "
            f"| {one.database_mb:.1f} MB ({one.database_mb / floor.database_mb:.2f}) |"
        )
    for month in ("first month", "second month"):
        ratio = found["the kit", month].cpu_seconds / found["psdonline", month].cpu_seconds
        print(f"the kit takes {ratio:.1f} times the processor time of psdonline in the {month}")


def _order(item: tuple[tuple[str, str], Figures]) -> tuple[str, str]:
    side, month = item[0]
    return month, side


if __name__ == "__main__":
    main()
