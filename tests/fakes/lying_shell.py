"""A rented machine that is against us: what its shell prints, and a python3 that lies."""

from __future__ import annotations

import textwrap

from fakes.machines import Worker

# Takes what it is given, writes the mark that ours would, and then what the test says.
LIAR = """\
import os, re, sys, threading
half, mark = re.search(r'b"(materia)" [+] b"( [0-9a-f]+)', sys.argv[-1]).groups()
os.write(1, (half + mark).encode() + b"\\n")
def drain():
    while os.read(0, 1 << 16):
        pass
    os._exit(66)
threading.Thread(target=drain, daemon=True).start()
def say(text):
    while text:
        text = text[os.write(1, text):]
{body}
threading.Event().wait()
"""


def greet(worker: Worker, text: str) -> None:
    """Have the shell of the login user do *text* before it does what it is asked."""
    (worker.machine.folder / "home" / "materia" / ".bashrc").write_text(text)


def lie(worker: Worker, body: str) -> None:
    """Put a python3 before the real one that runs *body*, Python that can `say` bytes."""
    home = worker.machine.folder / "home" / "materia"
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "liar.py").write_text(LIAR.format(body=textwrap.dedent(body)))
    python = folder / "python3"
    python.write_text(
        '#!/bin/sh\nPATH=${PATH#"$HOME/bin:"}\nexec python3 "$HOME/bin/liar.py" "$@"\n'
    )
    python.chmod(0o755)
    greet(worker, "PATH=$HOME/bin:$PATH\n")
