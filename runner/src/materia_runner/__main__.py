"""Entry point of `materia` and of `python -m materia_runner`."""

from __future__ import annotations

import gc
import sys

from materia_runner.ssh.agent.core_dumps import switch_off

GARBAGE = 20_000  # new objects between two looks for garbage; some ten megabytes at most


def main() -> None:
    """Import the command line and run it."""
    switch_off()
    # Imports make objects that stay: to look for garbage in them is a tenth of a short command.
    gc.set_threshold(GARBAGE)
    try:
        from materia_runner.cli.main import main as run
    except KeyboardInterrupt:  # Ctrl-C while it starts
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
