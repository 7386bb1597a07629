from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, Fault, S3Server
from materia.errors import ArtifactError, MissingSecretError
from materia_runner.artifact.bucket import ArtifactBucket
from materia_runner.artifact.find import Artifact
from materia_runner.config.pipeline import Bucket

KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
CONTENT = b"what workers run"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(server: S3Server) -> Bucket:
    return Bucket(url=f"s3://{server.new_bucket()}/materia/main", endpoint=server.endpoint)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(CONTENT)
    return Artifact(
        path=path,
        sha256=sha256(CONTENT).hexdigest(),
        python="3.11",
        architecture="x86_64",
        size=len(CONTENT),
    )


def name_of(bucket: Bucket) -> str:
    return bucket.url.split("/")[2]


def test_it_lies_there_under_its_hash_and_pushed_twice_it_is_one(
    server: S3Server, bucket: Bucket, artifact: Artifact
) -> None:
    opened = ArtifactBucket(bucket, KEYS)

    assert [opened.push(artifact), opened.push(artifact)] == [True, False]
    name = f"materia/main/sha256/{artifact.sha256}.tar.gz"
    assert server.names(name_of(bucket)) == [name]
    assert server.content(name_of(bucket), name) == CONTENT
    assert [(one.sha256, one.size) for one in opened.every()] == [(artifact.sha256, len(CONTENT))]


def test_of_two_that_push_at_once_the_first_wins(
    server: S3Server, bucket: Bucket, artifact: Artifact
) -> None:
    opened = ArtifactBucket(bucket, KEYS)
    other = ArtifactBucket(bucket, KEYS)
    meanwhile = Fault(method="PUT", act=lambda: other.push(artifact))
    with server.failing(meanwhile):
        assert opened.push(artifact) is False
    assert meanwhile.happened == 1
    assert len(server.names(name_of(bucket))) == 1


def test_the_address_gives_it_to_who_has_no_credentials(bucket: Bucket, artifact: Artifact) -> None:
    opened = ArtifactBucket(bucket, KEYS)
    opened.push(artifact)
    url = opened.url(artifact)

    assert "X-Amz-Expires=900" in url
    assert SECRET not in url
    with urllib.request.urlopen(url) as answer:  # noqa: S310 -- of the fake
        assert answer.read() == CONTENT


def test_an_object_of_another_size_is_not_taken_for_it(bucket: Bucket, artifact: Artifact) -> None:
    opened = ArtifactBucket(bucket, KEYS)
    opened.push(artifact)

    with pytest.raises(ArtifactError, match="has 16 bytes and should have 17; delete it"):
        opened.push(replace(artifact, size=17))


def test_credentials_that_are_not_set_are_named(bucket: Bucket) -> None:
    with pytest.raises(MissingSecretError, match="set AWS_SECRET_ACCESS_KEY to use it"):
        ArtifactBucket(bucket, {"AWS_ACCESS_KEY_ID": KEY})


def test_a_bucket_with_a_key_of_its_own_uses_nothing_of_the_key_of_the_sink(
    bucket: Bucket, artifact: Artifact
) -> None:
    own = replace(bucket, own_key=True)
    sinks = {
        "AWS_ACCESS_KEY_ID": "AKIASINK",
        "AWS_SECRET_ACCESS_KEY": "of the sink",
        "AWS_SESSION_TOKEN": "of the sink",
    }
    keys = {"MATERIA_ARTIFACTS_KEY_ID": KEY, "MATERIA_ARTIFACTS_KEY_SECRET": SECRET}

    assert ArtifactBucket(own, {**sinks, **keys}).push(artifact)
    with pytest.raises(MissingSecretError, match="set MATERIA_ARTIFACTS_KEY_ID and MATERIA_ARTI"):
        ArtifactBucket(own, sinks)
    with pytest.raises(ArtifactError, match="MATERIA_ARTIFACTS_KEY_ID and MATERIA_ARTIFACTS_KEY_S"):
        ArtifactBucket(own, {**keys, "MATERIA_ARTIFACTS_KEY_ID": "AKIAOTHER"}).push(artifact)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            lambda one, keys: (one, {**keys, "AWS_ACCESS_KEY_ID": "AKIAOTHER"}),
            "the store refused the credentials",
        ),
        (lambda one, keys: (replace(one, url="s3://nowhere"), keys), "no such bucket"),
        (lambda one, keys: (replace(one, endpoint="http://127.0.0.1:1"), keys), "127.0.0.1:1"),
    ],
    ids=["refused", "no bucket", "no server"],
)
def test_a_bucket_that_fails_is_told_in_a_sentence_without_secrets(
    bucket: Bucket,
    artifact: Artifact,
    wrong: Callable[[Bucket, dict[str, str]], tuple[Bucket, dict[str, str]]],
    sentence: str,
) -> None:
    opened = ArtifactBucket(*wrong(bucket, KEYS), patience=QUICK)

    for use in (lambda: opened.push(artifact), opened.every):
        with pytest.raises(ArtifactError) as said:
            use()
        assert sentence in str(said.value)
        assert SECRET not in str(said.value)
        assert "Signature" not in str(said.value)
