"""What a short command takes to start: CPU time, as ratios to two floors of the same run.

    uv run --all-extras --group dev python benchmarks/start_up.py [--repetitions 25]

The repetitions of all cases alternate, and the least of each counts: another program on the machine
only ever adds to it. `materia --help` takes at most 1.5 times as long as `import typer`. The last
three are compared with `materia --help`: a plan in an empty folder, a plan beside the published
sample, and prices of four emulated providers that were asked before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

MATERIA = str(Path(sys.executable).with_name("materia"))
CASES = {
    "python": (sys.executable, "-c", "pass"),
    "import typer": (sys.executable, "-c", "import typer"),
    "materia --help": (MATERIA, "--help"),
    "materia --version": (MATERIA, "--version"),
    "materia run --help": (MATERIA, "run", "--help"),
    "materia plugins": (MATERIA, "plugins"),
    "materia runs": (MATERIA, "runs"),
    "materia plan": (MATERIA, "plan"),
    "plan, published": (MATERIA, "plan"),
    "providers price": (MATERIA, "providers", "price"),
}
PUBLISHED = "plan, published"
PRICES = "providers price"
LIMITS = {"materia --help": 1.5}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measure what short commands take to start.")
    parser.add_argument("--repetitions", type=int, default=25, metavar="N", help="of each case")
    repetitions = parser.parse_args().repetitions
    with tempfile.TemporaryDirectory() as folder, emulated(Path(folder)) as variables:
        home, published = Path(folder, "home"), Path(folder, "published")
        published.mkdir()
        cpu_seconds((MATERIA, "run", "--sample"), published, plain(home))
        places: dict[str, tuple[Path, Mapping[str, str]]] = {
            name: (home, plain(home)) for name in CASES
        }
        places[PUBLISHED] = (published, plain(home))
        places[PRICES] = (home, variables)
        times: dict[str, list[float]] = {name: [] for name in CASES}
        for repetition in range(repetitions + 1):
            for name, command in CASES.items():
                taken = cpu_seconds(command, *places[name])
                if repetition:  # the first one writes caches
                    times[name].append(taken)
    floor, shown = min(times["import typer"]), min(times["materia --help"])
    print(f"{'':<20} {'':>10} import typer --help")
    for name, measured in times.items():
        ratio = min(measured) / floor
        limit = f"  (at most {LIMITS[name]})" if name in LIMITS else ""
        beside = f"{ratio:12.2f} {min(measured) / shown:6.2f}{limit}"
        print(f"{name:<20} {min(measured) * 1000:7.1f} ms {beside}")
    sys.exit(any(min(times[name]) / floor > limit for name, limit in LIMITS.items()))


def plain(home: Path) -> dict[str, str]:
    """Variables of a process which sees nothing of this user's."""
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


@contextmanager
def emulated(folder: Path) -> Iterator[Mapping[str, str]]:
    """Run emulators of every provider; yields the variables that point materia at them."""
    home = folder / "home"
    home.mkdir()
    with subprocess.Popen(
        (MATERIA, "emulator", "--no-machines"),
        cwd=folder,
        env={**plain(home), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as emulator:
        try:
            assert emulator.stdout is not None
            script = emulator.stdout.readline().removeprefix("# . ").strip()
            listed = subprocess.run(
                ("/bin/sh", "-c", '. "$0" && env -0', script),
                env=plain(home),
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
            yield dict(line.split("=", 1) for line in listed.stdout.split("\0") if line)
        finally:
            emulator.terminate()


def cpu_seconds(command: tuple[str, ...], folder: Path, variables: Mapping[str, str]) -> float:
    """User and system time of one process."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
