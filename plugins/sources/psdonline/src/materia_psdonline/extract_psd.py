"""The command `extract_psd`, an alias of `materia pipeline run extract`."""

from __future__ import annotations

import os
import sys

HELP = """\
usage: extract_psd [OPTIONS]

The same as `materia pipeline run extract`: fetch what is new in PSD Online, or in the source that
materia.toml names. Its options: materia pipeline run extract --help
"""


def main() -> None:
    """Run the extract stage with the given options; exit with materia's exit code."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(HELP)
        return
    # A separate process: a source knows only the command of the runner.
    command = [sys.executable, "-m", "materia_runner", "pipeline", "run", "extract"]
    os.execv(sys.executable, [*command, *sys.argv[1:]])  # noqa: S606 -- no shell, constant arguments


if __name__ == "__main__":
    main()
