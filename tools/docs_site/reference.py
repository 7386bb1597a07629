"""Reference of every public name, from its docstring: the modules of docs/plugin-api.md."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

# A heading of docs/plugin-api.md that names a module; a row of a table that names a thing in it.
HEADING = re.compile(r"^##+ `([\w.]+)`$", re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def reference_pages(root: Path) -> dict[str, str]:
    """Text of each page by its name, with `reference/index.md`; a page for each distribution."""
    text = (root / "docs/plugin-api.md").read_text(encoding="utf-8")
    _, *parts = HEADING.split(text)
    pages: dict[str, str] = {}
    page = ""
    for module, section in zip(parts[::2], parts[1::2], strict=True):
        level = text[: text.index(f"# `{module}`")].rpartition("\n")[2].count("#") + 1
        if level == 2:
            page = f"reference/{module}.md"
            pages[page] = ""
        pages[page] += f"{'#' * (level - 1)} `{module}`\n\n"
        pages[page] += "".join(_entries(module, dict(ROW.findall(section))))
    names = "\n".join(Path(name).stem for name in pages)
    pages["reference/index.md"] = (
        "# Reference\n\nEvery public name, with its signature and docstring. [What plugins may\n"
        "import](../docs/plugin-api.md) has the same names as a list to search.\n\n"
        f"```{{toctree}}\n{names}\n```\n"
    )
    return pages


def _entries(module: str, words: dict[str, str]) -> Iterator[str]:
    """A directive for each name of the module, in the order of the page."""
    home = importlib.import_module(module)
    for name, line in words.items():
        thing = getattr(home, name)
        if inspect.isclass(thing):
            body = f".. autoclass:: {module}.{name}\n   :members:\n   :show-inheritance:\n"
        elif inspect.isroutine(thing):
            body = f".. autofunction:: {module}.{name}\n"
        else:
            body = f".. py:data:: {module}.{name}\n\n   {line}\n"
        yield f"```{{eval-rst}}\n{body}```\n\n"
