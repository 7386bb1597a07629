"""The settings and secrets of the s3 sink, and what it takes of its surroundings."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.s3 import KEY, SECRET, S3Server
from fakes.s3_runs import Machine, address
from materia.errors import ConfigError, PluginError
from materia_runner.bundled import load_registry
from materia_s3.settings import address_of
from materia_testing.contracts.sinks.publish import publish_version
from materia_testing.contracts.sinks.raw import JANUARY, OLD, SOURCE, fetched, refused


def test_declaring_it_imports_no_client_and_opening_it_asks_nobody(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from materia_testing.contracts.opened import Declared\n"
        "import materia_s3\n"
        "materia_s3.materia_sinks()\n"
        "assert 'obstore' not in sys.modules\n"
        "Declared(kind='sink', module='materia_s3', name='s3', directory=Path(sys.argv[1]),"
        " settings={'bucket': 's3://acme'},"
        " secrets={'AWS_ACCESS_KEY_ID': 'a', 'AWS_SECRET_ACCESS_KEY': 'b'}).open()\n"
        "assert not {'duckdb', 'sqlmesh'} & set(sys.modules)\n"
        "assert list(Path(sys.argv[1]).iterdir()) == []\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("bucket", None, 'bucket is not set; it must be an address like "s3://bucket/prefix"'),
        ("bucket", "acme", "bucket must be an address like"),
        ("bucket", "s3://Acme", "bucket must be an address like"),
        ("bucket", "s3://acme/../x", "bucket must be an address like"),
        ("bucket", "s3://acme/a//b", "bucket must be without two slashes"),
        ("endpoint", "s3.example.com", "endpoint must be an address like"),
        ("endpoint", "https://key:word@s3.example.com", "endpoint must be an address like"),
        ("endpoint", "https://r2.example.com/acme", '"https://r2.example.com" alone'),
        ("region", "", "region is not set"),
    ],
)
def test_a_setting_that_is_no_use_is_told(setting: str, value: str | None, told: str) -> None:
    settings = {"bucket": "s3://acme/x", "endpoint": None, "region": "auto", setting: value}
    with pytest.raises(ConfigError) as caught:
        address_of(settings)

    assert told in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://acme", "s3://acme/", "s3://acme/a/b/"])
def test_a_prefix_may_be_empty_or_deep(url: str) -> None:
    found = address_of({"bucket": url, "endpoint": None, "region": "auto"})

    assert found.url("x") == f"{url.rstrip('/')}/x"


def test_its_address_has_a_cache_of_its_own(s3_server: S3Server) -> None:
    one = address(s3_server, "acme")
    others = (replace(one, prefix="tea"), replace(one, bucket="acme2"), replace(one, endpoint=None))

    assert len({one.folder, *(other.folder for other in others)}) == 4


def test_variables_that_were_not_declared_change_nothing(
    s3_server: S3Server, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_SESSION_TOKEN": "of another account",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "another",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    }.items():
        monkeypatch.setenv(name, value)
    sent = set(s3_server.tokens)  # by tests of other sinks
    publish_version(on("one"), 1)

    assert on("one").fingerprint() == "stamp 1"
    assert s3_server.tokens == sent


def test_no_secret_is_left_anywhere(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path
) -> None:
    on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    on("one").record(SOURCE, JANUARY, refused(tmp_path / "in", b"<html>"))
    publish_version(on("one"), 1)
    here = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    there = [s3_server.content(bucket, name) for name in s3_server.names(bucket)]

    assert len(here) >= 3
    assert len(there) >= 7
    for secret in (KEY, SECRET):
        assert not [1 for content in (*here, *there) if secret.encode() in content]
        assert secret not in repr(vars(on("one")))


def test_without_its_package_the_command_to_get_it_is_told() -> None:
    with pytest.raises(PluginError, match=r"unknown sink 's3'.* `uv sync --inexact --extra s3`"):
        load_registry([]).sink("s3")
