"""`extract_psd`, the name under which people know this download: the extract stage of materia."""

from __future__ import annotations

import os
import sys

HELP = """\
usage: extract_psd [OPTIONS]

The same as `materia pipeline run extract`: fetch what is new in PSD Online, or in the source that
materia.toml names. Its options: materia pipeline run extract --help
"""


def main() -> None:
    """Run the stage with the options given, and exit as materia does."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(HELP)
        return
    # A process of its own: a source knows nothing of the runner but its command.
    command = [sys.executable, "-m", "materia_runner", "pipeline", "run", "extract"]
    os.execv(sys.executable, [*command, *sys.argv[1:]])  # noqa: S606 -- no shell, and all words ours


if __name__ == "__main__":
    main()
