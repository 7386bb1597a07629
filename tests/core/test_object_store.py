"""The settings decide which store is used, and a message names what stands in the way of it."""

import ast
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import obstore
import pytest
from fakes.examples import of_each_kind
from fakes.odd_store import OddStore
from fakes.own_authority import own_authority
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET
from materia.errors import ArtifactError, ConfigError, MateriaError
from materia_runner.artifact.bucket import ArtifactBucket
from materia_runner.artifact.find import Artifact
from materia_runner.config.pipeline import Bucket
from materia_s3.settings import address_of
from materia_s3.sink import S3Sink
from materia_store.object_store import BucketPrefix, Key, StoreClient
from materia_testing.contracts.sinks.publish import publish_version
from materia_testing.contracts.sinks.raw import JANUARY, OLD, SOURCE, fetched, refused

KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
STUBS = Path(obstore.__file__).parent / "_store"
# Read by obstore's crate too, under names that its own pages do not list.
MORE = {"aws_bucket_name", "aws_endpoint_url", "aws_token", "aws_allow_http", "aws_s3_express"}


def keys_of(stub: str, name: str) -> set[str]:
    """The keys of a TypedDict in a stub file of obstore."""
    tree = ast.parse((STUBS / stub).read_text(encoding="utf-8"))
    (found,) = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name)
    return {
        line.target.id
        for line in found.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


SETTINGS = sorted(
    {
        f"AWS_{key.removeprefix('aws_')}".upper()
        for key in keys_of("_aws.pyi", "S3Config") | keys_of("_client.pyi", "ClientConfig") | MORE
    }
)
VALUES = ["", "true", "false", "garbage", "localhost:9000", "SHA256", "header: x: y", "1", "\u00e9"]


@pytest.fixture
def store() -> Iterator[OddStore]:
    store = OddStore()
    yield store
    store.close()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = tmp_path_factory.mktemp("artifact") / "a.tar.gz"
    path.write_bytes(b"what workers run")
    digest = sha256(b"what workers run").hexdigest()
    return Artifact(path=path, sha256=digest, python="3.11", architecture="x86_64", size=16)


def use(store: OddStore, folder: Path, artifact: Artifact) -> None:
    """Everything that is ever done with a bucket, on both of them."""
    here = address_of(
        {"bucket": "s3://acme/coffee", "endpoint": store.endpoint, "region": "us-east-1"}
    )
    sink = S3Sink(here, key=KEY, secret=SECRET, cache=folder / "cache", patience=QUICK)
    sink.known(SOURCE)
    new = fetched(folder / "in", JANUARY, OLD)
    sink.record(SOURCE, JANUARY, new)
    sink.record(SOURCE, JANUARY, refused(folder / "in", b"<html>"))
    sink.refuse(SOURCE, new.raw, "has the wrong columns")
    publish_version(sink, 1)
    sink.published()
    bucket = ArtifactBucket(
        Bucket(url="s3://acme/materia", endpoint=store.endpoint), KEYS, patience=QUICK
    )
    assert bucket.push(artifact)
    assert len(bucket.every()) == 1
    assert bucket.url(artifact).startswith(f"{store.endpoint}/acme/materia/sha256/")


def shapes(store: OddStore) -> list[str]:
    """What was asked of a store, without the hash of a database, that has a time in it."""
    return [re.sub(r"\b[0-9a-f]{64}/m", "m", request) for request, _ in store.requests]


def test_every_setting_that_the_client_knows_is_tried() -> None:
    assert len(SETTINGS) > 50
    assert {"AWS_ENDPOINT_URL_S3", "AWS_SKIP_SIGNATURE", "AWS_PROXY_URL"} <= set(SETTINGS)


@pytest.fixture(scope="module")
def plain(
    artifact: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], set[str]]:
    """The requests, and the names of their headers, where no variable is set."""
    store = OddStore()
    use(store, tmp_path_factory.mktemp("plain"), artifact)
    store.close()
    return shapes(store), set(store.headers)


@pytest.mark.parametrize(
    "value", of_each_kind([*VALUES, "another store"], "true", "garbage", "another store")
)
def test_no_variable_of_the_client_changes_a_request(
    plain: tuple[list[str], set[str]],
    tmp_path: Path,
    artifact: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
) -> None:
    requests, headers = plain
    other, there = OddStore(), OddStore()
    try:
        for name in SETTINGS:
            for spelt in (name, name.lower(), name.title()):
                monkeypatch.setenv(spelt, other.endpoint if value == "another store" else value)
        use(there, tmp_path / "set", artifact)

        assert other.requests == []
        assert shapes(there) == requests
        assert there.headers == headers
    finally:
        other.close()
        there.close()


def test_variables_are_as_they_were_when_the_client_is_made(
    store: OddStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of somebody")
    client = StoreClient(place(store.endpoint), Key(identity=KEY, secret=SECRET), QUICK)
    ends: list[object] = []
    threads = [threading.Thread(target=lambda: ends.append(client.store)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ends) == 4
    with os.popen("echo $AWS_PROFILE") as shell:  # noqa: S605, S607 -- it sees the C library's copy
        assert shell.read() == "of somebody\n"


def place(endpoint: str) -> BucketPrefix:
    return BucketPrefix(
        bucket="acme", prefix="", endpoint=endpoint, region="auto", table="sinks.s3"
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:9000",
        "ftp://a.example",
        "https://",
        "https://a b",
        "https://key:word@a.example",
        "https://a.example:99999",
        "https://a.example:",
        "https://a.example:x",
        "https://[::1",
        "https://a.example#x",
        "https://a.example\n",
        "https://\u00e9.example",
        "http:a.example",
    ],
)
def test_an_endpoint_that_is_no_address_is_told_before_anything_is_asked(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"sinks\.s3\.endpoint must be an address like") as told:
        StoreClient(place(endpoint), Key(identity=KEY, secret=SECRET), QUICK)
    assert "word" not in str(told.value)
    with pytest.raises(ConfigError, match=r"artifacts\.endpoint must be an address like"):
        ArtifactBucket(Bucket(url="s3://acme/materia", endpoint=endpoint), KEYS)


@pytest.mark.parametrize("name", ["a b", "a\\b", "\u00e9", "a%b", "a^b", "<a>"])
def test_a_name_that_the_client_breaks_down_over_is_an_error_like_others(
    store: OddStore, artifact: Artifact, name: str
) -> None:
    bucket = ArtifactBucket(
        Bucket(url=f"s3://{name}", endpoint=store.endpoint), KEYS, patience=QUICK
    )
    try:
        said = str(bucket.push(artifact))
    except MateriaError as error:
        said = str(error)
    assert said == "True" or f"s3://{name}" in said


def both(endpoint: str, folder: Path) -> list[str]:
    """What the sink and the bucket of artifacts say that cannot reach their store."""
    here = address_of({"bucket": "s3://acme/coffee", "endpoint": endpoint, "region": "us-east-1"})
    sink = S3Sink(here, key=KEY, secret=SECRET, cache=folder / "cache", patience=QUICK)
    bucket = ArtifactBucket(Bucket(url="s3://acme", endpoint=endpoint), KEYS, patience=QUICK)
    said = []
    for call in (sink.fingerprint, bucket.every):
        with pytest.raises(MateriaError) as told:
            call()
        said.append(str(told.value))
    return said


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("variable", "address", "told"),
    [
        ("HTTPS_PROXY", "http://me:word@127.0.0.1:9", "through the proxy of HTTPS_PROXY (127"),
        ("https_proxy", "http://127.0.0.1:9", "through the proxy of https_proxy (http://127.0"),
        ("ALL_PROXY", "http://127.0.0.1:9", "through the proxy of ALL_PROXY (http://127.0.0.1:9)"),
        (
            "ALL_PROXY",
            "socks5://127.0.0.1:9",
            "ALL_PROXY (socks5://127.0.0.1:9) is not an HTTP proxy",
        ),
        ("all_proxy", "http://no.such.invalid:9", "through the proxy of all_proxy"),
    ],
)
def test_a_dead_proxy_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, address: str, told: str
) -> None:
    monkeypatch.setenv(variable, address)
    for said in both("https://store.example", tmp_path):
        assert told in said
        assert "add store.example to NO_PROXY" in said
        assert "word" not in said


@pytest.mark.usefixtures("no_proxies")
def test_a_store_that_needs_no_proxy_is_not_told_as_behind_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for said in both("http://127.0.0.1:9", tmp_path):
        assert "http://127.0.0.1:9 cannot be reached; check the network" in said
    monkeypatch.delenv("HTTP_PROXY")
    for said in both("http://no.such.invalid", tmp_path):
        assert "DNS has no address for no.such.invalid" in said


@pytest.mark.usefixtures("no_proxies")
def test_a_certificate_of_an_own_authority_is_told_with_its_cure_which_works(
    tmp_path: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = own_authority(tmp_path)
    store = OddStore(tls=context)
    try:
        for said in both(store.endpoint, tmp_path):
            assert (
                f"this machine does not trust the certificate of {store.endpoint} (UnknownIssuer)"
                in said
            )
            assert "set SSL_CERT_FILE to a file with the certificate of its authority" in said
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
        for said in both(store.endpoint, tmp_path):
            assert "(AWS_CA_BUNDLE is not read)" in said
        wrong = tmp_path / "empty.pem"
        wrong.write_text("")
        monkeypatch.setenv("SSL_CERT_FILE", str(wrong))
        for said in both(store.endpoint, tmp_path):
            assert str(wrong) in said
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        use(store, tmp_path / "use", artifact)
    finally:
        store.close()


def test_an_overload_of_the_bucket_of_artifacts_is_waited_for(
    store: OddStore, artifact: Artifact
) -> None:
    store.be(overloaded=1.0, apart=0.05, bare_etags=True)
    bucket = Bucket(url="s3://acme/materia", endpoint=store.endpoint)

    assert ArtifactBucket(bucket, KEYS).push(artifact)
    assert len(store.refused(503)) > 1
    store.be(overloaded=1e9)
    with pytest.raises(ArtifactError, match="answers 503"):
        ArtifactBucket(bucket, KEYS, patience=QUICK).push(artifact)


def test_an_artifact_that_the_store_lost_is_not_handed_out(
    store: OddStore, artifact: Artifact
) -> None:
    store.be(loses=1)
    bucket = ArtifactBucket(
        Bucket(url="s3://acme/materia", endpoint=store.endpoint), KEYS, patience=QUICK
    )
    with pytest.raises(ArtifactError, match="has 0 bytes and should have 16"):
        bucket.push(artifact)


@pytest.mark.parametrize("odd", ["repeats", "no end"])
def test_a_listing_of_artifacts_without_end_is_told(
    store: OddStore, artifact: Artifact, odd: str
) -> None:
    where = Bucket(url="s3://acme/materia", endpoint=store.endpoint)
    bucket = ArtifactBucket(where, KEYS, patience=QUICK)
    bucket.push(artifact)
    bucket.push(replace(artifact, sha256="0" * 64))
    store.be(listing=frozenset({odd}), page=1)
    with pytest.raises(ArtifactError, match="repeats the same list without end"):
        bucket.every()
