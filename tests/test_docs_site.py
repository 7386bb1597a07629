"""The pages as a site: each page is in the navigation, each link leads somewhere, on the forge too.

Sphinx builds it where the group `docs` is installed (`make docs`); the rest needs no more than the
tests have.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from docs_site.commands import command_pages
from docs_site.pages import gather, sources
from docs_site.reference import HEADING, ROW, reference_pages
from materia_runner.cli.tree import TREE

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "tools/docs_site"
PAGES = sources(ROOT)
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)$", re.MULTILINE)
# SQLMesh, which one of the modules of the reference imports, warns its developers.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
built_by_sphinx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("sphinx", "myst_parser", "furo")),
    reason="the group `docs` is not installed: uv sync --inexact --group docs",
)


def prose(text: str) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as forges and MyST make them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} (.+)$", prose(text), re.MULTILINE):
        plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def broken(page: Path, text: str) -> list[str]:
    """The links of a page that lead to no file, or to no heading of it."""
    found = []
    for pair in LINK.findall(prose(text)):
        link = pair[0] or pair[1]
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (
            anchor and anchor not in anchors(text if target == page else target.read_text())
        ):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_anchor_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken(page, page.read_text()) == []


def test_a_folder_that_is_no_site_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    command = [sys.executable, str(ROOT / "tools/build_docs.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, (tmp_path / "thesis.txt").read_text()) == (1, "years")
    assert "has other files than a site" in done.stderr


def test_a_link_to_no_file_and_one_to_no_heading_are_found() -> None:
    text = "# A\n\n[a](#a), [b](#b), [c](CONTRIBUTING.md), [d](CONTRIBUTING.md#d), [e](e.md)\n"

    assert broken(ROOT / "README.md", text) == ["#b", "CONTRIBUTING.md#d", "e.md"]


def test_every_page_of_the_repository_is_one_of_the_site() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],  # noqa: S607 -- as installed
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a clone")
    names = [name for name in listed.stdout.split() if not name.startswith("tests/")]

    assert sorted(str(page.relative_to(ROOT)) for page in PAGES) == sorted(names)


def test_a_readme_becomes_the_index_of_its_folder_and_links_follow(tmp_path: Path) -> None:
    gather(ROOT, tmp_path)

    index = (tmp_path / "index.md").read_text()
    assert "\ndocs/quickstart\n" in index
    assert "\nplugins/sources/psdonline/index\n" in index
    assert (tmp_path / "runner/index.md").exists()
    assert "README.md" not in "".join(
        link for link, _ in LINK.findall((tmp_path / "docs/architecture.md").read_text())
    )


def test_the_site_has_the_help_of_every_command() -> None:
    pages = command_pages()

    for panel in TREE:
        for branch in panel.branches:
            text = pages[f"commands/{branch.name}.md"]
            assert text.startswith(f"# `materia {branch.name}`\n")
            assert f"Usage: materia {branch.name}" in text
            assert branch.help.split(".")[0][:40] in text
    assert "## `materia runs show`" in pages["commands/runs.md"]
    assert "Usage: materia runs show [OPTIONS]" in pages["commands/runs.md"]


def test_the_reference_has_every_name_that_plugins_may_import() -> None:
    pages = reference_pages(ROOT)
    page = (ROOT / "docs/plugin-api.md").read_text()

    _, *parts = HEADING.split(page)
    names = {
        f"{module}.{name}"
        for module, section in zip(parts[::2], parts[1::2], strict=True)
        for name, _ in ROW.findall(section)
    }
    found = re.findall(
        r"^\.\. (?:autoclass|autofunction|py:data):: (\S+)$", "".join(pages.values()), re.MULTILINE
    )
    assert len(names) > 150
    assert sorted(found) == sorted(names)


@built_by_sphinx
@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/build_docs.py", tmp_path / "site"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    offer = (tmp_path / "site/reference/materia.html").read_text()
    assert 'id="materia.Offer"' in offer
    assert "LICENSE" in (tmp_path / "site/index.html").read_text()


@built_by_sphinx
@pytest.mark.parametrize("link", ["[a](missing.md)", "[a](#missing)", "[a](other.md#missing)"])
def test_the_site_is_not_built_with_a_broken_link(link: str, tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text(f"# A\n\n{link}\n\n```{{toctree}}\nother\n```\n")
    (tmp_path / "other.md").write_text("# B\n")

    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning"),
            *("--conf-dir", str(CONFIGURATION), str(tmp_path), str(tmp_path / "site")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "missing" in done.stderr
