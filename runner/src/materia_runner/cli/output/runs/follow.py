"""Follow a run from another terminal: its timeline, line by line, until it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from materia_runner.cli.output.runs.show import Values, moments


def followed(read: Callable[[], Values], wait: Callable[[], object]) -> Iterator[str]:
    """Lines of a run's timeline, each once, until the run has ended or its process is gone.

    Args:
        read: Reads the run as `show_values` returns it.
        wait: Waits until the next look.
    """
    shown: set[str] = set()
    while True:
        values = read()
        for line in moments(values):
            if line not in shown:
                shown.add(line)
                yield line
        if values["state"] != "running" or not values["alive"]:
            return
        wait()
