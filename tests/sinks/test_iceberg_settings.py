"""Settings and secrets of the sink iceberg, and the packages that it imports."""

import subprocess
import sys
from importlib.metadata import requires

import pytest
from materia.errors import ConfigError, PluginError
from materia_iceberg import LAYERS
from materia_iceberg.settings import Settings, read_settings
from materia_runner.bundled import load_registry

ACCOUNT = "0123456789abcdef" * 2
GIVEN: dict[str, object] = {
    "account": None,
    "bucket": "s3://acme/coffee",
    "catalog": "https://catalog.example.com/v",
    "warehouse": None,
    "endpoint": None,
    "region": None,
    "namespace_prefix": "",
    "tables": LAYERS,
}


def read(token: str = "t", key: str = "i:s", **settings: object) -> Settings:  # noqa: S107 -- of a test
    return read_settings({**GIVEN, **settings}, token=token, key=key)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bucket": None}, 'sinks.iceberg.bucket is not set; it must be an address like "s3://'),
        ({"bucket": "acme"}, "sinks.iceberg.bucket must be an address like"),
        ({"account": "acme"}, "sinks.iceberg.account must be an account id of Cloudflare R2"),
        ({"catalog": None}, "sinks.iceberg.catalog is not set, nor is sinks.iceberg.account"),
        ({"catalog": "example.com"}, "sinks.iceberg.catalog must be an address like"),
        ({"catalog": "https://a:word@example.com"}, "sinks.iceberg.catalog must be an address"),
        (
            {"catalog": "https://example.com/?a"},
            'sinks.iceberg.catalog must be an address without "?"',
        ),
        ({"endpoint": "https://r2.example.com/acme"}, "sinks.iceberg.endpoint must be"),
        ({"region": "a b"}, "sinks.iceberg.region must be the name of a region"),
        ({"namespace_prefix": "Tea-"}, "sinks.iceberg.namespace_prefix must be lower-case letters"),
        ({"tables": ()}, "sinks.iceberg.tables must be names of layers"),
        ({"tables": ("Serving",)}, "sinks.iceberg.tables must be names of layers"),
        ({"key": "word"}, "ICEBERG_BUCKET_KEY must be the bucket's key as ID:SECRET"),
        ({"key": ":word"}, "ICEBERG_BUCKET_KEY must be the bucket's key as ID:SECRET"),
        ({"token": "two word"}, "ICEBERG_TOKEN cannot be sent in a header"),
        ({"token": ""}, "ICEBERG_TOKEN cannot be sent in a header"),
    ],
)
def test_an_invalid_setting_is_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**settings)  # type: ignore[arg-type]  # of the test's table

    assert message in str(caught.value)
    assert "word" not in str(caught.value)


def test_one_error_names_all_mistakes_in_the_settings() -> None:
    with pytest.raises(ConfigError) as caught:
        read(account="acme", region="a b", catalog="ftp://x", namespace_prefix="T", tables=())

    named = [str(one).partition(" ")[0] for one in caught.value.args]
    assert named == [
        f"sinks.iceberg.{name}"
        for name in ("account", "region", "catalog", "namespace_prefix", "tables")
    ]


def test_explicit_settings_override_the_defaults_of_the_account() -> None:
    found = read(account=ACCOUNT, warehouse="lake", endpoint="https://eu.example.com/", key="i:s")

    assert (found.catalog, found.warehouse) == ("https://catalog.example.com/v", "lake")
    assert found.address.endpoint == "https://eu.example.com"
    assert (found.identity, found.secret) == ("i", "s")
    assert read(account=ACCOUNT, bucket="acme").address.url() == "s3://acme"


def test_each_catalog_and_prefix_has_a_cache_of_its_own() -> None:
    one = read().folder
    others = (read(namespace_prefix="a_"), read(warehouse="lake"), read(bucket="s3://acme/tea"))

    assert len({one, *(other.folder for other in others)}) == 4


def test_settings_show_no_secret() -> None:
    shown = repr(read(token="planted-token", key="id:planted-secret"))  # noqa: S106 -- of a test

    assert "planted" not in shown


def test_declaring_and_opening_it_imports_neither_fastavro_nor_duckdb() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from materia_testing.contracts.opened import Declared\n"
        "import materia_iceberg\n"
        "materia_iceberg.materia_sinks()\n"
        "assert 'obstore' not in sys.modules\n"
        "sink = Declared(kind='sink', module='materia_iceberg', name='iceberg',"
        " directory=Path('nowhere'),"
        " settings={'bucket': 's3://acme', 'catalog': 'http://127.0.0.1:9'},"
        " secrets={'ICEBERG_TOKEN': 'a', 'ICEBERG_BUCKET_KEY': 'b:c'}).open()\n"
        "assert 'httpx' not in sys.modules\n"
        "assert not {'duckdb', 'fastavro', 'pyarrow', 'sqlmesh'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_publishing_imports_neither_pyiceberg_nor_pyarrow() -> None:
    code = (
        "import sys\n"
        "import materia_iceberg.tables.prepared\n"
        "assert 'fastavro' in sys.modules\n"
        "assert not {'pyiceberg', 'pyarrow', 'pydantic'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_depends_on_neither_pyiceberg_nor_pyarrow() -> None:
    wanted = [one for one in requires("materia-iceberg") or () if "extra ==" not in one]

    assert any(one.startswith("fastavro") for one in wanted)
    assert not [one for one in wanted if "pyarrow" in one or "pyiceberg" in one]


def test_without_its_package_the_error_has_the_command_to_install_it() -> None:
    with pytest.raises(
        PluginError, match=r"unknown sink 'iceberg'.* `uv sync --inexact --extra iceberg`"
    ):
        load_registry([]).sink("iceberg")
