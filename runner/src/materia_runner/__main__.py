"""Entry point of `materia` and of `python -m materia_runner`."""

from __future__ import annotations

import sys

from materia_runner.ssh.agent.core_dumps import switch_off


def main() -> None:
    """Import the command line and run it."""
    switch_off()
    try:
        from materia_runner.cli.main import main as run
    except KeyboardInterrupt:  # Ctrl-C while it starts
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
