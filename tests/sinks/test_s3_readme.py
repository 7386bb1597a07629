"""The README of the s3 sink says what is so."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import materia_s3
import pytest
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, S3Server
from fakes.s3_runs import address
from materia_runner.bundled import load_registry
from materia_runner.config.parse import parse_config
from materia_s3.settings import address_of
from materia_s3.sink import S3Sink
from materia_store import object_store
from materia_testing.contracts.sinks.publish import publish_version
from materia_testing.contracts.sinks.raw import JANUARY, OLD, SOURCE, fetched, refused

PROJECT = Path(__file__).resolve().parents[2] / "plugins/sinks/s3"
README = (PROJECT / "README.md").read_text(encoding="utf-8")
CORE = Path(object_store.__file__).parent
PLUGIN = Path(materia_s3.__file__).parent
MODULES = sorted([*PLUGIN.glob("*.py"), *CORE.glob("bucket/*.py"), *CORE.glob("object_*.py")])


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def store(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    """What one run with a good and a refused file leaves in the bucket of the README."""
    folder = tmp_path_factory.mktemp("readme")
    s3_server.client().create_bucket(Bucket="acme")
    here = address(s3_server, "acme")
    sink = S3Sink(here, key=KEY, secret=SECRET, cache=folder / "cache", patience=QUICK)
    sink.record(SOURCE, JANUARY, fetched(folder / "in", JANUARY, OLD))
    sink.record(SOURCE, JANUARY, refused(folder / "in", b"<html>"))
    publish_version(sink, 1)
    return s3_server


def test_its_settings_are_all_there_are(tmp_path: Path) -> None:
    registry = load_registry(bundled_only=True)
    (block,) = blocks("toml")
    pipeline = parse_config(tomllib.loads(block), registry, name="README", directory=tmp_path)
    (plugin,) = materia_s3.materia_sinks()
    quoted = pipeline.settings["sink", "s3"]
    defaults = {setting.name: setting.default for setting in plugin.settings}

    assert pipeline.sink == "s3"
    assert set(tomllib.loads(block)["sinks"]["s3"]) == set(defaults)
    assert quoted["cache"] == defaults["cache"]
    assert f"not set: {defaults['region']}" in block
    assert address_of(quoted).url() == "s3://acme/coffee"


def test_endpoints_it_names_are_accepted() -> None:
    found = re.findall(r"`(https://\S+)`", README)

    assert len(found) == 3
    for endpoint in found:
        filled = re.sub(r"<\w+>", "x", endpoint)
        address_of({"bucket": "s3://acme", "endpoint": filled, "region": "auto"})


def test_objects_lie_where_it_says(store: S3Server) -> None:
    (block,) = blocks("text")

    def without_hashes(names: list[str]) -> list[str]:
        short = (re.sub(r"\.[0-9a-f]{16}\.", ".HASH.", name) for name in names)
        return sorted(re.sub(r"/[0-9a-f]{64}/", "/<sha256>/", name) for name in short)

    found = [name.removeprefix("coffee/") for name in store.names("acme")]
    assert without_hashes(block.split()) == without_hashes(found)


def test_its_example_runs_and_prints_what_was_published(store: S3Server, tmp_path: Path) -> None:
    (block,) = blocks("python")
    environment = {
        **os.environ,
        "ENDPOINT": store.endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    output = subprocess.run(
        [sys.executable, "-c", block],
        check=True,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    ).stdout

    assert "run 1" in output
    assert "serving.prices" in output
    assert "Prices, one row each." in output


def explained() -> list[str]:
    rows = re.findall(r"^\| ((?:`.+?`(?:, )?)+) \|", README.partition("## Errors")[2], re.MULTILINE)
    return [words for row in rows for words in re.findall(r"`(.+?)`", row)]


def code(*names: str) -> str:
    texts = (path.read_text(encoding="utf-8") for path in MODULES if path.stem in names)
    return re.sub(r'"\s*\n\s*f?"', "", "".join(texts))


def test_every_message_it_explains_is_one_that_can_be_said() -> None:
    from materia_store import file_lock as lock

    everything = code(*(path.stem for path in MODULES)) + Path(lock.__file__).read_text()

    assert len(explained()) > 20
    assert [words for words in explained() if words not in everything] == []


def test_every_message_that_can_be_said_is_explained() -> None:
    said = re.findall(
        r"(?:Busy|Sink|Config)Error\(\s*(f\".+?\")\s*\)",
        code(
            "objects", "cache", "raw_files", "database", "pointer", "partition_index", "conditions"
        ),
        re.DOTALL,
    )
    # In `errors` sentences are put together; what went wrong stands before the "; ".
    said += re.findall(r"f?\"[^\"\n]*; [^\"\n]*\"", code("errors"))
    said += re.findall(r"f\"[^\"\n]*; [^\"\n]*\"", code("object_store_errors"))

    assert len(said) > 20
    assert [text for text in said if not any(words in text for words in explained())] == []
