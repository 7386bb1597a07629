"""Push artifacts to a channel of an S3 store: what tests of channels share."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path

from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, S3Server
from materia_runner.artifact.bucket import ArtifactBucket
from materia_runner.artifact.channel.pointer import Pointers
from materia_runner.artifact.channel.publish import Content, move_back, push_release
from materia_runner.artifact.channel.release import Channel, Release
from materia_runner.artifact.target import EXTRACT, WHOLE, Artifact
from materia_runner.config.pipeline import Bucket

KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
CONTENT = Content(
    commit="c0ffee", source="folder", sink="shelf", versions={"materia-core": "1"}, models="m"
)


class ChannelBench:
    """A bucket, and artifacts to push into it."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.server = server
        self.name = server.new_bucket()
        self.address = Bucket(url=f"s3://{self.name}/m", endpoint=server.endpoint)
        self._folder = folder

    def open(self, patience: object = QUICK) -> ArtifactBucket:
        return ArtifactBucket(self.address, KEYS, patience=patience)  # type: ignore[arg-type]

    def artifacts(self, *texts: str) -> list[Artifact]:
        made = []
        for text, stages in zip(texts, (EXTRACT, WHOLE), strict=False):
            content = text.encode()
            path = self._folder / f"{text}.tar.gz"
            path.write_bytes(content)
            made.append(
                Artifact(
                    path=path,
                    sha256=sha256(content).hexdigest(),
                    python="3.11",
                    architecture="x86_64",
                    size=len(content),
                    stages=stages,
                )
            )
        return made

    def push(self, *texts: str, bucket: ArtifactBucket | None = None) -> Release:
        return push_release(
            bucket or self.open(),
            self.artifacts(*texts),
            CONTENT,
            pipeline="coffee",
            channel="prod",
            say=lambda _: None,
        )

    def back(self, to: str) -> Release | None:
        return move_back(self.open(), to, pipeline="coffee", channel="prod")

    def channel(self) -> Channel:
        channel, _ = Pointers(self.open()).read("coffee", "prod")
        assert channel is not None
        return channel

    def content(self) -> list[bytes]:
        """What a run of the channel would get: everything is there, with the right hash."""
        bucket, found = self.open(), []
        for one in self.channel().release.artifacts:
            out = io.BytesIO()
            bucket.fetch(one.sha256, one.size, out)
            found.append(out.getvalue())
        return found

    def put(self, name: str, content: bytes) -> None:
        """Write an object beside the product."""
        self.server.client().put_object(Bucket=self.name, Key=f"m/{name}", Body=content)
