"""Entry points come from a cache until anything is installed, upgraded, edited or removed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.metadata import MetadataPathFinder
from pathlib import Path

import pytest
from materia._entry_points import EntryPoint, find_entry_points
from materia_runner.installed import installed_entry_points

LATER = time.time() + 3600
META = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def install(site: Path, name: str, version: str = "1.0", module: str = "module") -> Path:
    meta = site / f"{name.replace('-', '_')}-{version}.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text(META.format(name=name, version=version))
    (meta / "entry_points.txt").write_text(f"[materia]\n{name} = {module}\n")
    return meta


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two distributions, one with entry points, and another folder on the path."""
    site = tmp_path / "site"
    install(site, "materia-one")
    (site / "other-1.0.dist-info").mkdir()
    (site / "other-1.0.dist-info/METADATA").write_text(META.format(name="other", version="1.0"))
    (tmp_path / "second").mkdir()
    monkeypatch.setattr(sys, "path", [str(site), str(tmp_path / "gone"), str(tmp_path / "second")])
    # A package that another test imported may have put its finder in the place of Python's.
    others = [one for one in sys.meta_path if not hasattr(one, "find_distributions")]
    monkeypatch.setattr(
        PathFinder, "find_distributions", MetadataPathFinder.find_distributions, raising=False
    )
    monkeypatch.setattr(
        sys, "meta_path", [*(one for one in others if one is not PathFinder), PathFinder]
    )
    return site


def found(site: Path, *, now: float | None = LATER) -> list[EntryPoint]:
    return installed_entry_points("materia", folder=site.parent / "cache", now=now)


def cached(site: Path) -> Path:
    return next((site.parent / "cache").iterdir())


def change(site: Path, change: Callable[[dict[str, object]], object]) -> None:
    kept = json.loads(cached(site).read_text())
    change(kept)
    cached(site).write_text(json.dumps(kept))


def first_is(site: Path, module: str) -> bool:
    return found(site)[0].value == module


def test_the_second_answer_is_the_first_from_the_cache(site: Path) -> None:
    first = found(site)
    assert first == find_entry_points("materia") != []
    assert found(site) == first

    change(site, lambda kept: kept.update(points=[["one", "cached", "d", "1", "materia"]]))

    assert first_is(site, "cached")


def upgraded(site: Path) -> None:
    shutil.rmtree(site / "materia_one-1.0.dist-info")
    install(site, "materia-one", "1.1")


def installed_again(site: Path) -> None:
    shutil.rmtree(site / "materia_one-1.0.dist-info")
    install(site, "materia-one", module="edited")


def edited(site: Path) -> None:
    file = site / "materia_one-1.0.dist-info/entry_points.txt"
    file.write_text("[materia]\nmateria-one = edited\n")


def edited_to_the_same_size(site: Path) -> None:
    file = site / "materia_one-1.0.dist-info/entry_points.txt"
    time.sleep(0.02)  # a tick of the file system's clock
    file.write_text(file.read_text().replace("module", "eludom"))


def edited_with_the_time_of_before(site: Path) -> None:
    """As tools do that set all times, for archives that are the same each time."""
    file = site / "materia_one-1.0.dist-info/entry_points.txt"
    before = file.stat()
    edited_to_the_same_size(site)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def renamed(site: Path) -> None:
    file = site / "materia_one-1.0.dist-info/METADATA"
    file.write_text(META.format(name="materia-another", version="1.0"))


CHANGES: dict[str, Callable[[Path], object]] = {
    "installed": lambda site: install(site, "materia-two"),
    "installed elsewhere": lambda site: install(site.parent / "second", "materia-two"),
    "installed into a new folder": lambda site: install(site.parent / "gone", "materia-two"),
    "installed as a folder of sources": lambda site: sys.path.append(
        str(install(site.parent / "sources", "materia-two").parent)
    ),
    "hidden by another": lambda site: sys.path.insert(
        0, str(install(site.parent / "sources", "materia-one", "2.0").parent)
    ),
    "gave its first entry points": lambda site: (
        site / "other-1.0.dist-info/entry_points.txt"
    ).write_text("[materia]\nother = other\n"),
    "removed": lambda site: shutil.rmtree(site / "materia_one-1.0.dist-info"),
    "upgraded": upgraded,
    "installed again": installed_again,
    "edited": edited,
    "edited to the same size": edited_to_the_same_size,
    "edited with the time of before": edited_with_the_time_of_before,
    "renamed": renamed,
}


@pytest.mark.parametrize("apply", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen_at_once(site: Path, apply: Callable[[Path], object]) -> None:
    before = found(site)

    apply(site)

    after = found(site)
    assert after == find_entry_points("materia") != before
    assert found(site) == after


DAMAGE: dict[str, Callable[[dict[str, object]], object]] = {
    "another form": lambda kept: kept.update(asked=[0]),
    "no stamps": lambda kept: kept.pop("stamps"),
    "stamps of another type": lambda kept: kept.update(stamps=["x"]),
    "points of another type": lambda kept: kept.update(points=7),
    "too few texts": lambda kept: kept.update(points=[["one", "wrong", "d"]]),
    "no texts": lambda kept: kept.update(points=[["one", 7, "d", "1", "materia"]]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_ignored(
    site: Path, damage: Callable[[dict[str, object]], object]
) -> None:
    before = found(site)

    change(site, damage)

    assert found(site) == before


@pytest.mark.parametrize("text", [b"", b"[", b"[]", b"null", b"\xff", b"7"])
def test_a_cache_that_is_not_one_is_ignored(site: Path, text: bytes) -> None:
    before = found(site)

    cached(site).write_bytes(text)

    assert found(site) == before
    assert found(site) == before


def test_what_was_installed_this_moment_is_not_cached(site: Path) -> None:
    assert found(site, now=None) == find_entry_points("materia")

    assert not (site.parent / "cache").exists()


def test_what_is_not_a_folder_is_searched_each_time(site: Path) -> None:
    archive = site.parent / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("packed-1.0.dist-info/METADATA", META.format(name="packed", version="1.0"))
        file.writestr("packed-1.0.dist-info/entry_points.txt", "[materia]\npacked = p\n")
    sys.path.append(str(archive))

    assert "packed" in {point.name for point in found(site)}
    assert not (site.parent / "cache").exists()


def test_it_works_without_a_folder_that_can_be_written(site: Path) -> None:
    (site.parent / "cache").write_text("a file")

    assert found(site) == find_entry_points("materia")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_cache_that_another_user_wrote_is_ignored(site: Path) -> None:
    before = found(site)
    change(site, lambda kept: kept.update(points=[["one", "foreign", "d", "1", "materia"]]))
    assert first_is(site, "foreign")

    os.chown(cached(site), 65534, 65534)

    assert found(site) == before
