from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from pathlib import Path

import pytest
from materia._entry_points import EntryPoint, find_entry_points


def install(folder: Path, name: str, version: str, entries: str, *, egg: bool = False) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    meta = folder / f"{stem}{'.egg-info' if egg else '.dist-info'}"
    meta.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this one\n"
    (meta / ("PKG-INFO" if egg else "METADATA")).write_text(text)
    (meta / "entry_points.txt").write_text(entries)


def found_by_python(group: str) -> set[tuple[str, str, str, str]]:
    return {
        (point.name, point.value, point.dist.name, point.dist.version)
        for point in importlib.metadata.entry_points(group=group)
        if point.dist is not None
    }


def found(group: str) -> set[tuple[str, str, str, str]]:
    return {
        (point.name, point.value, point.distribution, point.version)
        for point in find_entry_points(group)
    }


@pytest.mark.parametrize("group", ["materia", "console_scripts", "pytest11", "nobody.has.this"])
def test_it_finds_what_python_finds(group: str) -> None:
    assert found(group) == found_by_python(group)
    assert bool(found(group)) == (group != "nobody.has.this")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second, tmp_path / "empty"):
        folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "gone"), str(second)])
    return first, second


def test_files_are_read_as_they_may_be_written(folders: tuple[Path, Path]) -> None:
    install(
        folders[0],
        "materia-odd",
        "2.0",
        "# first\n[other]\nx = y\n\n[ materia ]\n[materia]\n# a comment\nodd=odd_module\n"
        "two = pack.age:thing.of [extra]\n\n[last]\nz = z\n",
    )
    install(folders[1], "materia-old", "1.0", "[materia]\nold = old_module\n", egg=True)

    assert (
        found("materia")
        == found_by_python("materia")
        == {
            ("odd", "odd_module", "materia-odd", "2.0"),
            ("two", "pack.age:thing.of [extra]", "materia-odd", "2.0"),
            ("old", "old_module", "materia-old", "1.0"),
        }
    )


def test_of_two_versions_the_first_on_the_path_counts(folders: tuple[Path, Path]) -> None:
    install(folders[0], "materia-two", "2.0", "[materia]\nnew = new_module\n")
    install(folders[1], "materia-two", "1.0", "[materia]\nold = old_module\n")

    assert found("materia") == found_by_python("materia")
    assert {name for name, *_ in found("materia")} == {"new"}


def test_what_is_in_an_archive_is_found_too(folders: tuple[Path, Path]) -> None:
    install(folders[0], "materia-plain", "1.0", "[materia]\nplain = plain_module\n")
    archive = folders[1] / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(
            "materia_packed-1.0.dist-info/METADATA", "Name: materia-packed\nVersion: 1.0\n"
        )
        file.writestr("materia_packed-1.0.dist-info/entry_points.txt", "[materia]\npacked = p\n")
    sys.path.append(str(archive))

    assert {name for name, *_ in found("materia")} == {"plain", "packed"}


def test_damaged_files_are_passed_over(folders: tuple[Path, Path]) -> None:
    install(folders[0], "materia-good", "1.0", "[materia]\ngood = good_module\n")
    meta = folders[0] / "materia_bad-1.0.dist-info"
    meta.mkdir()
    (meta / "entry_points.txt").write_bytes(b"[materia]\nbad = \xff\n")
    (folders[0] / "materia_none-1.0.dist-info").mkdir()

    assert {name for name, *_ in found("materia")} == {"good"}


def test_an_entry_point_gives_a_module_or_something_in_it() -> None:
    def loaded(value: str) -> object:
        return EntryPoint(name="x", value=value, distribution="d", version="1").load()

    assert loaded("importlib.metadata") is importlib.metadata
    assert loaded("pathlib:Path.cwd [extra]") == Path.cwd
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        loaded("no_such_module")
    with pytest.raises(AttributeError):
        loaded("pathlib:Nothing")
