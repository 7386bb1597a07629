"""Build the documentation as a site of static HTML, and fail on any broken link.

    uv run --group docs python tools/build_docs.py site

The site has the pages of the repository as they are (README.md, docs/, the READMEs of plugins and
kits), the help of every command, and a reference of every public name from its docstring. Sphinx
builds it, since it is kept by many: MkDocs had its last release in 2024, Material for MkDocs gets
repairs alone, and their successor Zensical is at 0.1 (PyPI, read on 2026-11-30).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs_site.commands import command_pages
from docs_site.pages import gather
from docs_site.reference import reference_pages

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = Path(__file__).resolve().parent / "docs_site"
MARK = ".buildinfo"  # Sphinx writes it into each site


def build(output: Path) -> int:
    """Build the site into *output*, in place of an older one; returns the exit code of Sphinx."""
    if output.exists() and any(output.iterdir()) and not (output / MARK).is_file():
        sys.exit(f"{output} has other files than a site; choose a new folder")
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder)
        for name, text in {**command_pages(), **reference_pages(ROOT)}.items():
            (pages / name).parent.mkdir(parents=True, exist_ok=True)
            (pages / name).write_text(text, encoding="utf-8")
        gather(ROOT, pages)
        shutil.rmtree(output, ignore_errors=True)
        return subprocess.run(
            [
                *(sys.executable, "-m", "sphinx", "--builder", "html", "--quiet"),
                *("--fail-on-warning", "--jobs", "auto", "--conf-dir", str(CONFIGURATION)),
                *("--doctree-dir", f"{folder}/.doctrees", folder, str(output)),
            ],
            check=False,
        ).returncode


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    sys.exit(build(Path(sys.argv[1])))
