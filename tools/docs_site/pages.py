"""Pages of the site and their order: copies of the repository's Markdown files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

# Headings of the navigation with their pages; a star stands for all that match. Sphinx warns of a
# page that is in none.
NAVIGATION: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Start",
        (
            *("docs/quickstart.md", "docs/first-rented-run.md", "docs/production.md"),
            *("docs/glossary.md",),
        ),
    ),
    ("The data", ("docs/data.md", "docs/report.md", "docs/models.md")),
    (
        "Run it",
        (
            *("docs/run.md", "docs/prices.md", "docs/runs.md", "docs/schedule.md"),
            *("docs/secrets.md", "docs/iceberg.md", "docs/spark.md", "docs/benchmarks.md"),
        ),
    ),
    (
        "Write a plugin",
        ("docs/plugins.md", "docs/plugin-api.md", "kits/*/README.md", "testing/README.md"),
    ),
    ("Plugins", ("plugins/*/*/README.md",)),
    ("Reference", ("commands/index.md", "reference/index.md")),
    (
        "The code",
        (
            *("docs/architecture.md", "CONTRIBUTING.md", "CHANGELOG.md", "core/README.md"),
            *("runner/README.md", "transform/README.md", "pipelines/README.md"),
            *("infra/README.md", "benchmarks/README.md"),
        ),
    ),
)
# Files that pages link to or show.
FILES = ("LICENSE", "docs/images/*.svg")


def gather(root: Path, into: Path) -> None:
    """Copy the pages and files of the repository at *root* to the same places below *into*.

    `README.md` becomes `index.md`, so that a folder's address is its page; links follow.
    """
    for path in sources(root):
        text = path.read_text(encoding="utf-8")
        if path == root / "README.md":
            text += "".join(_tree(root, *part) for part in NAVIGATION)
        _write(into / _place(path.relative_to(root)), _linked(text))
    for pattern in FILES:
        for path in root.glob(pattern):
            place = into / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def sources(root: Path) -> list[Path]:
    """The Markdown files of the repository that are pages, the README first."""
    return [root / "README.md", *(path for _, names in NAVIGATION for path in _found(root, names))]


def _found(root: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(root.glob(pattern))


def _tree(root: Path, heading: str, patterns: tuple[str, ...]) -> str:
    """A part of the navigation, as Sphinx reads it."""
    names = []
    for pattern in patterns:
        found = list(_found(root, (pattern,)))
        names += [_place(path.relative_to(root)) for path in found] or [Path(pattern)]
    lines = "\n".join(name.with_suffix("").as_posix() for name in names)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{lines}\n```\n"


def _place(path: Path) -> Path:
    return path.with_name("index.md") if path.name == "README.md" else path


def _linked(text: str) -> str:
    return re.sub(r"(\]\((?!\w+://)[^)\s]*?)README\.md", r"\1index.md", text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
