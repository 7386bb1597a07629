"""README of the sink iceberg and docs/iceberg.md: settings, examples and messages fit the code."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import materia_iceberg
import pytest
from fakes.iceberg_catalog import TOKEN, IcebergCatalog, Lending
from fakes.iceberg_readers import PYTHON, Readers
from fakes.iceberg_runs import Machine, run
from fakes.s3 import S3Server
from materia_iceberg.catalogued import COLUMNS
from materia_iceberg.keeping import Keeping
from materia_iceberg.settings import read_settings
from materia_runner.bundled import load_registry
from materia_runner.config.parse import parse_config

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "plugins/sinks/iceberg/README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/iceberg.md").read_text(encoding="utf-8")
PACKAGE = Path(materia_iceberg.__file__).parent
DATABASE = ROOT / "kits/store/src/materia_store/bucket/database.py"
PRICES = (
    "CREATE TABLE serving.prices AS SELECT range AS price FROM range(7);"
    "COMMENT ON TABLE serving.prices IS 'Prices, one row each.'"
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_readme_lists_all_settings_with_their_defaults(tmp_path: Path) -> None:
    registry = load_registry(bundled_only=True)
    (block,) = blocks(README, "toml")
    pipeline = parse_config(tomllib.loads(block), registry, name="README", directory=tmp_path)
    (plugin,) = materia_iceberg.materia_sinks()
    quoted = pipeline.settings["sink", "iceberg"]
    defaults = {setting.name: setting.default for setting in plugin.settings}
    said = [line for line in block.splitlines() if "this is the default" in line]

    assert pipeline.sink == "iceberg"
    assert set(tomllib.loads(block)["sinks"]["iceberg"]) == set(defaults)
    assert len(said) == 3
    for name in (line.partition(" =")[0] for line in said):
        assert quoted[name] == defaults[name]
    read = read_settings(quoted, token="t", key="i:s")  # noqa: S106 -- of a test
    assert read.catalog == "https://catalog.example.com"


def test_account_and_bucket_are_enough_for_r2(tmp_path: Path) -> None:
    registry = load_registry(bundled_only=True)
    (block,) = blocks(PAGE, "toml")
    pipeline = parse_config(tomllib.loads(block), registry, name="page", directory=tmp_path)
    account = "0123456789abcdef0123456789abcdef"
    read = read_settings(pipeline.settings["sink", "iceberg"], token="abc", key="id")  # noqa: S106 -- of a test

    assert set(tomllib.loads(block)["sinks"]["iceberg"]) == {"account", "bucket"}
    assert read.catalog == f"https://catalog.cloudflarestorage.com/{account}/coffee"
    assert read.warehouse == f"{account}_coffee"
    assert read.address.endpoint == f"https://{account}.r2.cloudflarestorage.com"
    assert (read.address.bucket, read.address.region) == ("coffee", "auto")
    # printf abc | sha256sum
    assert read.secret == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # noqa: S105 -- of no token
    (exported,) = (block for block in blocks(PAGE, "console") if "export" in block)
    assert re.findall(r"export (\w+)=", exported) == list(materia_iceberg.SECRETS)


def test_the_documented_columns_and_retention_match_the_code() -> None:
    table = PAGE.partition("| column of")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", table)) - {"published", "publishing"}

    assert named - {"run"} == {name for name, _, _ in COLUMNS} - {"run"}
    keeping = Keeping()
    assert f"last {keeping.publications} publications" in PAGE
    assert f"last {keeping.publications} publications" in README
    assert keeping.together == 8
    assert "eight or more at a time" in README


@pytest.fixture
def published(machine: Machine, catalog: IcebergCatalog) -> IcebergCatalog:
    run(machine("one"), "run 1", PRICES, "serving.prices")
    return catalog


def test_the_duckdb_examples_run(
    s3_server: S3Server, published: IcebergCatalog, machine: Machine
) -> None:
    block, as_of, _ = blocks(PAGE, "sql")
    reader = Readers(s3_server, published.uri)
    asked = (
        block.replace("INSTALL iceberg;", "")
        .replace("LOAD iceberg;", "")  # already loaded, from a package
        .replace("https://catalog.cloudflarestorage.com/ACCOUNT/BUCKET", published.uri)
        .replace("ACCOUNT_BUCKET", "lake")
        .replace("'ICEBERG_TOKEN'", f"'{TOKEN}'")
        .replace("SECRET catalog (", "SECRET another (")
        .replace("SECRET catalog,", "SECRET another, ACCESS_DELEGATION_MODE 'none',")
    )
    *_, versions, prices = [part for part in asked.split(";") if part.strip()]
    before = asked.replace(f"{versions};", "").replace(f"{prices};", "")
    try:
        reader.execute(before)
        assert [row[:2] for row in reader.execute(versions)] == [["serving.prices", "7"]]
        assert reader.execute(prices) == [["0"], ["1"], ["2"]]
        run(machine("one"), "run 2", "DELETE FROM serving.prices", "serving.prices")
        place = machine("one").publications()[1].place
        named, older = as_of.split(";")[:2]
        ((table, snapshot),) = reader.execute(named.replace("456", place.split()[1]))
        assert table == "serving.prices"
        assert len(reader.execute(older.replace("123", str(snapshot)))) == 7
    finally:
        reader.close()


def test_the_pyiceberg_example_runs(published: IcebergCatalog, tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("no readers of Iceberg here: `make iceberg-parts` gets them")
    block, _ = blocks(PAGE, "python")
    published.lending = Lending()  # as R2 does
    asked = block.replace("https://catalog.cloudflarestorage.com/ACCOUNT/BUCKET", published.uri)
    done = subprocess.run(
        [PYTHON, "-c", asked.replace("ACCOUNT_BUCKET", "lake")],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "ICEBERG_TOKEN": TOKEN,
        },
    )

    assert done.stdout.splitlines() == [
        "serving.prices 7",
        "Prices, one row each.",
        "[{'price': 0}, {'price': 1}, {'price': 2}]",
    ]


def explained() -> list[str]:
    rows = re.findall(r"^\| ((?:`.+?`(?:, )?)+) \|", README.partition("## Errors")[2], re.MULTILINE)
    return [words for row in rows for words in re.findall(r"`(.+?)`", row)]


def code() -> str:
    texts = (path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", "".join(texts))


def test_every_documented_message_is_in_the_code() -> None:
    everything = code() + DATABASE.read_text(encoding="utf-8")

    assert len(explained()) > 20
    assert [words for words in explained() if words not in everything] == []


def test_every_message_in_the_code_is_documented() -> None:
    said = re.findall(r"(?:Busy|Sink|Config|Conflict|Unclear)Error\(\s*(f?\".+?\")\s*\)", code())
    said += re.findall(r"f\"\{start\}\w[^\"]*\"", code())

    assert len(said) > 15
    assert [text for text in said if not any(words in text for words in explained())] == []
