"""What a short command takes to start: CPU time, as a ratio to `import typer` in the same run.

    uv run --all-extras --group dev python benchmarks/start_up.py [--repetitions 25]

The repetitions of all cases alternate, and the least of each counts: another program on the machine
only ever adds to it. `materia --help` takes at most 1.5 times as long as `import typer`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
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
}
LIMITS = {"materia --help": 1.5}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measure what short commands take to start.")
    parser.add_argument("--repetitions", type=int, default=25, metavar="N", help="of each case")
    repetitions = parser.parse_args().repetitions
    with tempfile.TemporaryDirectory() as home:
        times: dict[str, list[float]] = {name: [] for name in CASES}
        for _ in range(repetitions):
            for name, command in CASES.items():
                times[name].append(cpu_seconds(command, Path(home)))
    floor = min(times["import typer"])
    for name, measured in times.items():
        ratio = min(measured) / floor
        limit = f"  (at most {LIMITS[name]})" if name in LIMITS else ""
        print(f"{name:<20} {min(measured) * 1000:7.1f} ms {ratio:6.2f}{limit}")
    sys.exit(any(min(times[name]) / floor > limit for name, limit in LIMITS.items()))


def cpu_seconds(command: tuple[str, ...], home: Path) -> float:
    """User and system time of one process, which sees nothing of this user's."""
    process = subprocess.Popen(
        command,
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
