"""The README of the duckdb sink says what is so."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import materia_duckdb
import materia_store
import pytest
from materia_duckdb.sink import DuckDBSink
from materia_runner.bundled import load_registry
from materia_runner.config.parse import parse_config
from materia_testing.contracts.sinks.publish import publish_version
from materia_testing.contracts.sinks.raw import JANUARY, OLD, SOURCE, fetched, refused

PROJECT = Path(__file__).resolve().parents[2] / "plugins/sinks/duckdb"
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What one run with a good and a refused file leaves."""
    folder = tmp_path / "project"
    sink = DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    sink.record(SOURCE, JANUARY, refused(tmp_path / "in", b"<html>"))
    publish_version(sink, 1)
    return folder


def test_its_settings_are_the_defaults(tmp_path: Path) -> None:
    registry = load_registry(bundled_only=True)
    (block,) = blocks("toml")
    quoted = parse_config(tomllib.loads(block), registry, name="README", directory=tmp_path)
    default = parse_config({}, registry, name="none", directory=tmp_path)
    (plugin,) = materia_duckdb.materia_sinks()

    assert quoted == default
    assert set(tomllib.loads(block)["sinks"]["duckdb"]) == {s.name for s in plugin.settings}


def test_files_lie_where_it_says(folder: Path) -> None:
    (block,) = blocks("text")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    def without_hashes(names: object) -> list[str]:
        assert isinstance(names, set)
        return sorted(re.sub(r"\.[0-9a-f]{16}\.", ".HASH.", name) for name in names)

    assert without_hashes(set(block.split())) == without_hashes(found)


def test_its_examples_run_and_print_what_was_published(folder: Path) -> None:
    (block,) = blocks("python")
    output = subprocess.run(
        [sys.executable, "-c", block], check=True, cwd=folder, capture_output=True, text=True
    ).stdout

    assert "run 1" in output
    assert "serving.prices" in output
    assert "Prices, one row each." in output


# Modules of the store kit that this sink stands on.
SHARED = ("connection", "file_lock", "known_partitions", "publication", "views")

OF_A_FOLDER = ("raw_files", "working_copy")


def explained() -> list[str]:
    return re.findall(r"^\| `(.+?)` \|", README, re.MULTILINE)


def said() -> list[str]:
    """The text of every error, as it stands in the code."""
    store = Path(materia_store.__file__).parent
    modules = [
        *Path(materia_duckdb.__file__).parent.glob("*.py"),
        *(store / f"{name}.py" for name in SHARED),
        *(store / f"folder/{name}.py" for name in OF_A_FOLDER),
    ]
    code = "".join(path.read_text(encoding="utf-8") for path in modules)
    joined = re.sub(r'"\s*\n\s*f?"', "", code)
    return re.findall(r"(?:BusyError|SinkError)\(\s*(f\".+?\")\s*\)", joined, re.DOTALL)


def test_every_message_it_explains_is_one_that_can_be_said() -> None:
    assert [words for words in explained() if not any(words in text for text in said())] == []


def test_every_message_that_can_be_said_is_explained() -> None:
    assert len(said()) > 10
    assert [text for text in said() if not any(words in text for words in explained())] == []
